"""Where videos come from: a folder, a mirror over HTTP, or the site itself; nothing is counted here."""

import email.utils
import http.client
import importlib
import io
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from benchmark.data.sports1m import SUFFIXES
from benchmark.errors import UserError
from benchmark.extras import require_extra
from benchmark.files import whole
from benchmark.scale.manifest import State

_CHUNK_BYTES = 2**20
_TIMEOUT_S = 60.0
_LAST_ASKED = 2**10  # bytes that a probe reads at most


class Fetched(NamedTuple):
    """A video that is there.

    Attributes:
        path: The file.
        seconds: How long it lasts as the source says, if it does.
        is_copy: Whether it was made for this job, and may go after it.
    """

    path: Path
    seconds: float | None
    is_copy: bool


class RefusedError(Exception):
    """A video that the source will not give, now or later.

    Args:
        state: What that makes of it.
        reason: In words.
    """

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state, self.reason = state, reason


class BusyError(Exception):
    """The source wants to be left alone; says nothing of the video.

    Args:
        wait_s: For so long, if it says so.
    """

    def __init__(self, wait_s: float | None = None) -> None:
        super().__init__("too many requests")
        self.wait_s = wait_s


class FaultError(Exception):
    """Something that may go better next time."""


class Source(Protocol):
    """Gives videos by name; called by several threads at once."""

    def probe(self, video_id: str) -> None:
        """Ask whether a video is there, without fetching it; raises as `fetch` does."""

    def fetch(self, video_id: str, into: Path) -> Fetched:
        """Fetch a video into a folder, whole or not at all.

        Raises:
            RefusedError: If the source will not give it.
            BusyError: If the source wants to be left alone.
            FaultError: If it may go better next time.
        """


class FolderSource:
    """A folder of videos, flat or in folders named after the first two letters of the id; nothing is copied.

    Args:
        root: The folder.

    Raises:
        UserError: If there is none.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise UserError(f"--source is {root}, not a folder; name a folder, an http(s) address or yt-dlp")
        self.root = root

    def probe(self, video_id: str) -> None:
        """See `Source`."""
        self._file(video_id)

    def fetch(self, video_id: str, into: Path) -> Fetched:
        """See `Source`."""
        return Fetched(self._file(video_id), None, is_copy=False)

    def _file(self, video_id: str) -> Path:
        for folder in (self.root / video_id[:2], self.root):
            for suffix in SUFFIXES:
                if (file := folder / f"{video_id}{suffix}").is_file():
                    return file.absolute()
        raise RefusedError("dead", "not in the folder")


class HttpSource:
    """A mirror that has each video at an address of its own.

    Args:
        address: With `{id}` where the id belongs; without, `/ID.mp4` is added.
        timeout_s: Seconds without a byte after which a try has failed.
    """

    def __init__(self, address: str, timeout_s: float = _TIMEOUT_S) -> None:
        self.address = address if "{id}" in address else f"{address.rstrip('/')}/{{id}}.mp4"
        self.timeout_s = timeout_s

    def probe(self, video_id: str) -> None:
        """See `Source`."""
        with self._opened(video_id, {"Range": f"bytes=0-{_LAST_ASKED - 1}"}) as response:
            _read(response, _LAST_ASKED)

    def fetch(self, video_id: str, into: Path) -> Fetched:
        """See `Source`."""
        target = into / f"{video_id}{self._suffix}"
        with self._opened(video_id, {}) as response, whole(target) as unfinished:
            expected = response.headers.get("Content-Length")
            with unfinished.open("wb") as file:
                while chunk := _read(response, _CHUNK_BYTES):
                    file.write(chunk)
                held = file.tell()
            if expected is not None and held != int(expected):
                raise FaultError(f"only {held:,} of {int(expected):,} bytes arrived")
            seconds = response.headers.get("X-Content-Duration")
        return Fetched(target, _number(seconds), is_copy=True)

    @property
    def _suffix(self) -> str:
        ending = Path(self.address.partition("?")[0]).suffix.lower()
        return ending if ending in SUFFIXES else ".mp4"

    def _opened(self, video_id: str, headers: dict[str, str]) -> Any:
        request = urllib.request.Request(self.address.replace("{id}", video_id), headers=headers)
        try:
            return urllib.request.urlopen(request, timeout=self.timeout_s)
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise _meaning(refusal) from None
        except (OSError, http.client.HTTPException) as error:
            raise FaultError(f"{type(error).__name__}: {error}") from None


_STATES: dict[int, State] = {401: "private", 403: "private", 404: "dead", 410: "dead", 451: "region"}


def _meaning(refusal: urllib.error.HTTPError) -> Exception:
    if refusal.code in (429, 503) and (refusal.code == 429 or "Retry-After" in refusal.headers):
        return BusyError(_seconds_until(refusal.headers.get("Retry-After")))
    if refusal.code in _STATES:
        return RefusedError(_STATES[refusal.code], f"HTTP {refusal.code}")
    return FaultError(f"HTTP {refusal.code}")


def _seconds_until(said: str | None) -> float | None:
    """What Retry-After says: seconds, or a date."""
    if said is None or (seconds := _number(said)) is not None:
        return None if said is None else seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return None


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text.strip()) else None


def _read(response: Any, size: int) -> bytes:
    try:
        part: bytes = response.read(size)
    except (OSError, http.client.HTTPException) as error:
        raise FaultError(f"{type(error).__name__}: {error}") from None
    return part


# What the site says of a video, in yt-dlp's words; the first that fits counts.
_SAID: tuple[tuple[str, State], ...] = (
    (r"private video|members-only|join this channel|sign in to confirm your age", "private"),
    (r"not (?:made this video )?available in your (?:country|location)|geo.?restrict|blocked it in your country",
     "region"),
    (r"video unavailable|has been removed|is not available|account .*terminated|no longer available|does not exist"
     r"|incomplete youtube id|http error 404|http error 410", "dead"),
)  # fmt: skip
_LEAVE_ALONE = re.compile(r"http error 429|too many requests|not a bot|rate.?limit", re.IGNORECASE)


class YtDlpSource:
    """The site itself, by yt-dlp; cookies are handed to it and are in nothing that is said or written down.

    Args:
        cookies: A file of cookies, as browsers export them, or None.
        longest_minutes: Longer videos are refused before they are fetched.
        most_lines: Rows of pixels up to which a format is taken; of those the largest.
        address: Of a video, with `{id}`.

    Raises:
        UserError: If yt-dlp or the file of cookies is not there.
    """

    def __init__(
        self,
        cookies: Path | None = None,
        longest_minutes: float = 60.0,
        most_lines: int = 360,
        address: str = "https://www.youtube.com/watch?v={id}",
    ) -> None:
        require_extra("yt_dlp", "--source yt-dlp")
        if cookies is not None and not cookies.is_file():
            raise UserError(f"--cookies is {cookies}, not a file; export them from a browser, or leave it out")
        self.cookies, self.longest_minutes, self.most_lines = cookies, longest_minutes, most_lines
        self.address = address
        self._secrets = tuple(_cookie_values(cookies)) if cookies is not None else ()

    def probe(self, video_id: str) -> None:
        """See `Source`."""
        self._asked(video_id, None)

    def fetch(self, video_id: str, into: Path) -> Fetched:
        """See `Source`."""
        into.mkdir(parents=True, exist_ok=True)
        folder = into / f"{video_id}.new"  # what a killed process left is gone on with
        said = self._asked(video_id, folder)
        files = [Path(part["filepath"]) for part in said.get("requested_downloads") or () if part.get("filepath")]
        if len(files) != 1 or not files[0].is_file():
            raise FaultError("yt-dlp left no file")
        target = into / f"{video_id}{files[0].suffix if files[0].suffix in SUFFIXES else '.mp4'}"
        files[0].replace(target)
        shutil.rmtree(folder, ignore_errors=True)
        return Fetched(target, said.get("duration"), is_copy=True)

    def _asked(self, video_id: str, folder: Path | None) -> dict[str, Any]:
        yt_dlp: Any = importlib.import_module("yt_dlp")

        options: dict[str, Any] = {
            # One stream of pictures, without sound, which needs no second program to be joined.
            "format": f"bv[height<={self.most_lines}][ext=mp4]/b[height<={self.most_lines}]/bv[ext=mp4]/b/bv",
            "noplaylist": True, "quiet": True, "no_warnings": True, "noprogress": True, "logger": _Silent(),
            "retries": 0, "extractor_retries": 0, "cachedir": False, "socket_timeout": _TIMEOUT_S,
            "outtmpl": "%(id)s.%(ext)s", "paths": {"home": str(folder)} if folder else {},
        }  # fmt: skip
        if self.cookies is not None:
            options["cookiefile"] = io.StringIO(self.cookies.read_text("utf-8"))  # so that the file is never written
        try:
            with yt_dlp.YoutubeDL(options) as site:
                said: dict[str, Any] = site.extract_info(self.address.replace("{id}", video_id), download=False)
                minutes = (said.get("duration") or 0) / 60
                if minutes > self.longest_minutes:
                    raise RefusedError("too long", f"{minutes:.0f} minutes")
                return site.process_ie_result(said, download=True) if folder is not None else said
        except yt_dlp.utils.DownloadError as error:
            raise self._meaning(str(error)) from None

    def _meaning(self, said: str) -> Exception:
        text = self._without_secrets(re.sub(r"\x1b\[[0-9;]*m", "", said))
        if _LEAVE_ALONE.search(text):
            return BusyError()
        for pattern, state in _SAID:
            if re.search(pattern, text, re.IGNORECASE):
                return RefusedError(state, text)
        return FaultError(text)

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())[:200]


def _cookie_values(file: Path) -> Iterator[str]:
    for line in file.read_text("utf-8", "replace").splitlines():
        parts = line.split("\t")
        if len(parts) == 7 and len(parts[6]) >= 4:
            yield parts[6]


class _Silent:
    """Where yt-dlp's own messages go."""

    def debug(self, message: str) -> None:
        """Drop it."""

    info = warning = error = debug


def source_of(
    named: str, *, cookies: Path | None = None, longest_minutes: float = 60.0, timeout_s: float = _TIMEOUT_S
) -> Source:
    """The source of that name: `yt-dlp`, an http(s) address, or a folder.

    Raises:
        UserError: If it is none, or cannot be used.
    """
    if named == "yt-dlp":
        return YtDlpSource(cookies, longest_minutes)
    if cookies is not None:
        raise UserError("--cookies is for --source yt-dlp alone; leave it out")
    return HttpSource(named, timeout_s) if re.match("https?://", named) else FolderSource(Path(named))
