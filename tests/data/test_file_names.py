"""A name is a file of this machine, whatever it looks like, and what a file points to is never opened."""

import contextlib
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.data.decode import DecodeError, DecoderName, open_video
from benchmark.speed.bare_decoder import frames_per_second
from tests.generators.decoders import both_decoders, read
from tests.generators.encoded import encode, number_shown

NAMES = [
    "12:30:05.mp4",
    "a: b.mp4",
    "file:z.mp4",
    "concat:a.mp4|b.mp4",
    "concatf:list.mp4",
    "subfile,,start,0,end,9,,:a.mp4",
    "crypto:a.mp4",
    "data:video;base64,AAAA.mp4",
    "pipe:0.mp4",
    "cache:x.mp4",
    "async:x.mp4",
    "#1.mp4",
    "-1.mp4",
    "%d.mp4",
    "%20.mp4",
    "*?[a].mp4",
    "x.m3u8",
    "x.ffconcat",
    "x.png",
    "é ü.mp4",
    "no_suffix",
]


@both_decoders
@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, decoder: DecoderName
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, other in enumerate(("a.mp4", "b.mp4", "z.mp4", "x.mp4", "1.mp4")):
        encode(Path(other), frames=3 + number)
    encode(tmp_path / "right.mp4", frames=17).rename(name)
    for path in (Path(name), tmp_path / name):
        with open_video(path, decoder) as video:
            assert video.frames == 17
        assert number_shown(read(path, [11], decoder)[0]) == 11
        assert frames_per_second(path) == 25


@both_decoders
def test_a_name_that_is_not_utf_8(tmp_path: Path, decoder: DecoderName) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    try:
        encode(tmp_path / "right.mp4").rename(path)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert number_shown(read(path, [11], decoder)[0]) == 11


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, list[str]]]:
    """The port of a server of a video, and the requests that reached it."""
    content = encode(tmp_path / "served.mp4").read_bytes()
    requests: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield serving.server_address[1], requests
        serving.shutdown()
        thread.join()


@both_decoders
@pytest.mark.parametrize("protocol", ["http", "tcp", "ftp", "icecast", "mmsh"])
def test_folders_with_the_name_of_an_address_are_folders(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: tuple[int, list[str]],
    protocol: str,
    decoder: DecoderName,
) -> None:
    port, requests = server
    monkeypatch.chdir(tmp_path)
    path = Path(f"{protocol}:/127.0.0.1:{port}/x.mp4")
    with pytest.raises(DecodeError, match="does not exist"), open_video(path, decoder):
        pass
    path.parent.mkdir(parents=True)
    encode(tmp_path / "right.mp4", frames=17).rename(path)
    with open_video(path, decoder) as video:
        assert video.frames == 17
    assert number_shown(read(path, [11], decoder)[0]) == 11
    assert requests == []


POINTERS = {
    "ffconcat": "ffconcat version 1.0\nfile '{0}'\n",
    "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.6,\n{0}\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet '
    'mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{0}</BaseURL></Representation></AdaptationSet>'
    "</Period></MPD>",
    "asx": '<asx version="3.0"><entry><ref href="{0}"/></entry></asx>',
    "real": "{0}\n",
    "text reference": "[Reference]\nRef1={0}\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=control:{0}\n",
}


@both_decoders
@pytest.mark.parametrize("kind", POINTERS)
@pytest.mark.parametrize("suffix", ["mp4", "avi", "m3u8", "ffconcat", "sdp", "mpd"])
def test_a_text_that_points_to_a_video_is_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: tuple[int, list[str]],
    kind: str,
    suffix: str,
    decoder: DecoderName,
) -> None:
    port, requests = server
    monkeypatch.chdir(tmp_path)
    encode(Path("other.mp4"))
    path = tmp_path / f"pointer.{suffix}"
    for target in (
        "other.mp4",
        f"{tmp_path}/other.mp4",
        f"file:{tmp_path}/other.mp4",
        f"http://127.0.0.1:{port}/x.mp4",
    ):
        path.write_text(POINTERS[kind].format(target), "utf-8")
        with pytest.raises(DecodeError, match=r"it is not a video|Invalid data") as caught, open_video(path, decoder):
            pass
        assert str(tmp_path) not in str(caught.value)
    assert requests == []
