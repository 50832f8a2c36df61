import errno
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import UserError
from benchmark.scale.fetching import Fetcher, Pace, Stopped, source_of
from benchmark.scale.site import YtDlpSource
from benchmark.scale.sources import (
    BusyError,
    FaultError,
    Fetched,
    FolderSource,
    HttpSource,
    RefusedError,
)
from tests.generators.encoded import encode
from tests.generators.sports1m_set import ids
from tests.generators.video_site import VideoSite, video_site

NAMES = ids(12)


class Clock:
    """A clock that jumps where one waits."""

    def __init__(self) -> None:
        self.now, self.waits = 100.0, list[float]()
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> bool:
        with self._lock:
            self.waits.append(seconds)
            self.now += seconds
        return False


@pytest.fixture
def site(tmp_path: Path) -> Iterator[VideoSite]:
    (tmp_path / "site").mkdir()
    for name in NAMES:
        encode(tmp_path / "site" / f"{name}.mp4", frames=3)
    with video_site(tmp_path / "site") as made:
        yield made


def fetcher(site: VideoSite, into: Path, clock: Clock, per_second: float = 0.0, tries: int = 4) -> Fetcher:
    pace = Pace(per_second, say=lambda text: None, clock=clock, sleep=clock.sleep)
    return Fetcher(HttpSource(site.address, timeout_s=1.0), into, pace, tries, jitter=lambda: 0.5)


def test_what_the_site_refuses_is_settled_at_once(site: VideoSite, tmp_path: Path) -> None:
    site.statuses = dict(zip(NAMES[1:5], (404, 410, 403, 451), strict=True))
    fetch = fetcher(site, tmp_path / "into", Clock())
    outcomes = {name: fetch.fetch(name) for name in NAMES[:5]}
    assert [o.state for o in outcomes.values()] == ["fetched", "dead", "dead", "private", "region"]
    assert [o.reason for o in outcomes.values()] == ["", "HTTP 404", "HTTP 410", "HTTP 403", "HTTP 451"]
    assert max(site.asked.values()) == 1
    fetched = outcomes[NAMES[0]].fetched
    assert fetched is not None
    assert fetched.path.read_bytes() == (site.folder / f"{NAMES[0]}.mp4").read_bytes()


def test_what_may_pass_is_tried_again_with_growing_waits(site: VideoSite, tmp_path: Path) -> None:
    site.passing = {NAMES[0]: [500, "broken", "truncated"], NAMES[1]: [502] * 9}
    site.seconds[NAMES[0]] = 0.12
    clock = Clock()
    fetch = fetcher(site, tmp_path / "into", clock)
    outcome = fetch.fetch(NAMES[0])
    assert (outcome.state, site.asked[NAMES[0]], clock.waits) == ("fetched", 4, [1, 2, 4])
    assert outcome.fetched is not None
    assert outcome.fetched.seconds == 0.12
    given_up = fetch.fetch(NAMES[1])
    assert (given_up.state, site.asked[NAMES[1]]) == ("wanted", 4)
    assert given_up.reason == "HTTP 502 (tried 4 times)"
    assert sorted(file.name for file in (tmp_path / "into").iterdir()) == [f"{NAMES[0]}.mp4"]


def test_a_slow_answer_counts_as_a_failed_try(site: VideoSite, tmp_path: Path) -> None:
    site.passing = {NAMES[0]: ["slow"]}
    begun = time.monotonic()
    assert fetcher(site, tmp_path, Clock()).fetch(NAMES[0]).state == "fetched"
    assert site.asked[NAMES[0]] == 2
    assert time.monotonic() - begun < 60


def test_a_busy_site_pauses_all_and_marks_no_video(site: VideoSite, tmp_path: Path) -> None:
    site.busy = ["40", None, None]
    clock = Clock()
    fetch = fetcher(site, tmp_path, clock, tries=1)
    assert fetch.fetch(NAMES[0]).state == "fetched"
    # What the site says, then our own, twice as long each time.
    assert clock.waits == [40, 60, 120]
    site.busy = [None]
    assert fetch.fetch(NAMES[1]).state == "fetched"
    assert clock.waits[3:] == [30]  # short again after it went well


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        ("Fri, 31 Dec 9999 23:59:59 GMT", 24 * 3600),
        ("Fri, 31 Dec 9999 23:59:59 -0000", 24 * 3600),
        ("999999999", 24 * 3600),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 1),
        ("tomorrow", 30),
    ],
)
def test_a_busy_site_is_asked_again_after_a_day(asked: str, waits: float, site: VideoSite, tmp_path: Path) -> None:
    site.busy = [asked]
    clock = Clock()
    assert fetcher(site, tmp_path, clock).fetch(NAMES[0]).state == "fetched"
    assert clock.waits == [waits]


def test_a_length_that_is_no_number_says_nothing(site: VideoSite, tmp_path: Path) -> None:
    site.passing = {NAMES[0]: ["length ten"]}
    fetched = fetcher(site, tmp_path, Clock()).fetch(NAMES[0]).fetched
    assert fetched is not None
    assert fetched.path.read_bytes() == (site.folder / f"{NAMES[0]}.mp4").read_bytes()
    assert site.asked[NAMES[0]] == 1


def test_threads_that_are_told_at_the_same_time_make_one_pause(site: VideoSite, tmp_path: Path) -> None:
    site.busy, site.wait_s = ["2"] * 4, 0.3
    said = list[str]()
    fetch = Fetcher(HttpSource(site.address), tmp_path, Pace(say=said.append), tries=1)
    begun = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        states = [outcome.state for outcome in threads.map(fetch.fetch, NAMES[:4])]
    assert states == ["fetched"] * 4
    assert said == ["the source asks for fewer requests; all wait for 2 s"]
    assert time.monotonic() - begun >= 2


def test_requests_keep_a_rate_whatever_the_number_of_threads() -> None:
    clock = Clock()
    pace = Pace(4.0, clock=clock, sleep=clock.sleep)
    turns = [pace.turn() for _ in range(9)]
    assert turns == [100 + 0.25 * number for number in range(9)]


def test_a_job_that_ends_waits_for_nothing(site: VideoSite, tmp_path: Path) -> None:
    site.busy = ["3600"]
    pace = Pace(say=lambda text: threading.Timer(0.2, pace.stop).start())
    with pytest.raises(Stopped):
        Fetcher(HttpSource(site.address), tmp_path, pace).fetch(NAMES[0])


def test_a_folder_gives_its_own_files(tmp_path: Path) -> None:
    (tmp_path / NAMES[1][:2]).mkdir()
    flat = encode(tmp_path / f"{NAMES[0]}.mkv", frames=3)
    nested = encode(tmp_path / NAMES[1][:2] / f"{NAMES[1]}.mp4", frames=3)
    source = FolderSource(tmp_path)
    assert source.fetch(NAMES[0], tmp_path) == Fetched(flat, None, False)
    assert source.fetch(NAMES[1], tmp_path).path == nested
    with pytest.raises(RefusedError, match="not in the folder"):
        source.probe(NAMES[2])
    with pytest.raises(UserError, match="not a folder"):
        FolderSource(tmp_path / "none")
    with pytest.raises(UserError, match="yt-dlp alone"):
        source_of(str(tmp_path), cookies=flat)


def test_a_folder_knows_whether_it_holds_any(tmp_path: Path) -> None:
    source = FolderSource(tmp_path)
    assert not source.holds_any(NAMES)
    (tmp_path / f"{NAMES[0]}.txt").write_text("no video", "utf-8")
    (tmp_path / "other.mp4").write_bytes(b"")
    assert not source.holds_any(NAMES)
    (tmp_path / NAMES[1][:2]).mkdir()
    (tmp_path / NAMES[1][:2] / f"{NAMES[1]}.mkv").write_bytes(b"")
    assert source.holds_any(NAMES)
    assert not source.holds_any(NAMES[2:])


@pytest.mark.parametrize(
    "address",
    ["http://[bad/x", "http:///x", "http://host:port/x", "http://host/a b", "http://host/\u00e9", "http://host/\n"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="no web address; give one such as"):
        source_of(address)


def test_a_mirror_is_not_asked_for_videos_that_are_too_long(site: VideoSite, tmp_path: Path) -> None:
    site.seconds = {NAMES[0]: 119.0, NAMES[1]: 121.0}
    source = source_of(site.address, longest_minutes=2)
    assert source.fetch(NAMES[0], tmp_path / "into").seconds == 119
    for ask in (lambda: source.probe(NAMES[1]), lambda: source.fetch(NAMES[1], tmp_path / "into")):
        with pytest.raises(RefusedError, match="2 minutes") as refused:
            ask()
        assert refused.value.state == "too long"
    assert [file.name for file in (tmp_path / "into").iterdir()] == [f"{NAMES[0]}.mp4"]


def test_an_address_with_the_id_in_it(site: VideoSite, tmp_path: Path) -> None:
    source = source_of(f"{site.address}/{{id}}.mp4?q=1")
    assert source.fetch(NAMES[0], tmp_path).path.name == f"{NAMES[0]}.mp4"


@pytest.mark.extra("yt_dlp")
def test_yt_dlp_fetches_and_says_what_became_of_a_video(site: VideoSite, tmp_path: Path) -> None:
    pytest.importorskip("yt_dlp")
    source = YtDlpSource(address=f"{site.address}/{{id}}.mp4")
    fetched = source.fetch(NAMES[0], tmp_path / "into")
    assert fetched.path.read_bytes() == (site.folder / f"{NAMES[0]}.mp4").read_bytes()
    assert [file.name for file in (tmp_path / "into").iterdir()] == [f"{NAMES[0]}.mp4"]
    site.statuses = {NAMES[1]: 404, NAMES[2]: 429, NAMES[3]: 500}
    with pytest.raises(RefusedError) as refused:
        source.probe(NAMES[1])
    assert refused.value.state == "dead"
    with pytest.raises(BusyError):
        source.probe(NAMES[2])
    with pytest.raises(FaultError):
        source.probe(NAMES[3])


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("ERROR: [youtube] abc: Private video. Sign in if you've been granted access", "private"),
        ("ERROR: [youtube] abc: Video unavailable. This video has been removed by the uploader", "dead"),
        ("ERROR: [youtube] abc: Video unavailable. The uploader has not made this video available in your country",
         "region"),
        ("ERROR: [youtube] abc: This video is no longer available because the account has been terminated", "dead"),
        ("ERROR: [youtube] abc: Sign in to confirm you're not a bot", "busy"),
        ("ERROR: unable to download: HTTP Error 429: Too Many Requests", "busy"),
        ("ERROR: [youtube] abc: Connection reset by peer", "fault"),
    ],
)  # fmt: skip
@pytest.mark.extra("yt_dlp")
def test_the_words_of_the_site(said: str, state: str) -> None:
    pytest.importorskip("yt_dlp")
    meaning = YtDlpSource()._meaning(said)
    kinds = {BusyError: "busy", FaultError: "fault"}
    assert (meaning.state if isinstance(meaning, RefusedError) else kinds[type(meaning)]) == state


@pytest.mark.extra("yt_dlp")
def test_the_patience_of_yt_dlp_is_that_of_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    yt_dlp = pytest.importorskip("yt_dlp")
    held = []

    def ask(self: Any, url: str, **options: Any) -> dict[str, Any]:
        held.append(self.params["socket_timeout"])
        return {"duration": 601}

    monkeypatch.setattr(yt_dlp.YoutubeDL, "extract_info", ask)
    with pytest.raises(RefusedError, match="10 minutes"):
        source_of("yt-dlp", longest_minutes=10, timeout_s=7.5).probe(NAMES[0])
    assert held == [7.5]


@pytest.mark.extra("yt_dlp")
@pytest.mark.parametrize("name", ["UnavailableVideoError", "PostProcessingError", "SameFileError", "YoutubeDLError"])
def test_every_error_of_yt_dlp_says_what_became_of_the_video(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    yt_dlp = pytest.importorskip("yt_dlp")

    def fails(self: Any, *given: Any, **options: Any) -> None:
        raise getattr(yt_dlp.utils, name)("of this one")

    monkeypatch.setattr(yt_dlp.YoutubeDL, "extract_info", fails)
    with pytest.raises(FaultError):
        YtDlpSource().probe(NAMES[0])


@pytest.mark.extra("yt_dlp")
@pytest.mark.parametrize("step", ["open", "write"])
def test_a_full_disk_is_no_fault_of_the_video(
    step: str, site: VideoSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    http: Any = pytest.importorskip("yt_dlp.downloader.http")

    def full(*given: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    class Full:
        write = full
        name = "video"

        def close(self) -> None: ...

    monkeypatch.setattr(
        http.HttpFD, "sanitize_open", full if step == "open" else lambda self, name, mode: (Full(), name)
    )
    with pytest.raises(OSError, match="No space left") as error:
        YtDlpSource(address=f"{site.address}/{{id}}.mp4").fetch(NAMES[0], tmp_path / "into")
    assert error.value.errno == errno.ENOSPC


@pytest.mark.extra("yt_dlp")
def test_cookies_are_in_nothing_that_is_said_and_their_file_stays(site: VideoSite, tmp_path: Path) -> None:
    pytest.importorskip("yt_dlp")
    cookies = tmp_path / "cookies.txt"
    line = "127.0.0.1\tFALSE\t/\tFALSE\t4000000000\tSESSION\ts3cr3tvalue\n"
    cookies.write_text(f"# Netscape HTTP Cookie File\n{line}", "utf-8")
    source = YtDlpSource(cookies, address=f"{site.address}/{{id}}.mp4")
    assert source.fetch(NAMES[0], tmp_path / "into").path.is_file()
    assert cookies.read_text("utf-8").endswith(line)
    assert str(source._meaning("failed with Cookie: SESSION=s3cr3tvalue")) == "failed with Cookie: SESSION=***"
    with pytest.raises(UserError, match="not a file"):
        YtDlpSource(tmp_path / "none.txt")
