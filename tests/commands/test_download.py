import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmark.commands.download import fetch
from benchmark.errors import UserError

CONTENT = bytes(range(256)) * 40


class Server(ThreadingHTTPServer):
    """Serves CONTENT at /file.rar, with ranges unless told otherwise, and notes the ranges asked for."""

    ranges: bool = True
    cut_after: int | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.rar"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if not self.path.endswith("/file.rar"):
            self.send_error(404)
        elif start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            self.wfile.write(CONTENT[start:][: self.server.cut_after])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        assert fetch(server.url, tmp_path / "new").read_bytes() == CONTENT
    assert server.asked == [None]
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["file.rar"]


def test_a_broken_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cut_after = 3000
    for held in (3000, 6000):
        with pytest.raises(UserError, match=rf"{held:,}.*run it again"):
            fetch(server.url, tmp_path)
        assert not (tmp_path / "file.rar").exists()
    server.cut_after = None
    assert fetch(server.url, tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=3000-", "bytes=6000-"]


def test_a_server_without_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.rar.part").write_bytes(CONTENT[:500])
    server.ranges = False
    assert fetch(server.url, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("extra", [b"", b"of another file"])
def test_a_part_with_nothing_to_follow_is_complete_or_fetched_anew(
    server: Server, tmp_path: Path, extra: bytes
) -> None:
    (tmp_path / "file.rar.part").write_bytes(CONTENT + extra)
    assert fetch(server.url, tmp_path).read_bytes() == CONTENT


def test_failures_are_one_message_with_the_address(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent could not be downloaded: HTTP Error 404.*browser"):
        fetch(server.url.replace("file.rar", "absent"), tmp_path)
    with pytest.raises(UserError, match="could not be downloaded"):
        fetch("http://127.0.0.1:9/file.rar", tmp_path)
