import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmark.errors import UserError
from benchmark.scale.ranges import AT_ONCE, Range, ShortError, WebRanges

pytestmark = pytest.mark.extra("pycurl")

CONTENT = bytes(range(256)) * 1000


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server of one file, under several behaviours."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            status, body, more = 206, CONTENT[first : last + 1], dict[str, str]()
            if self.path.startswith("/expired"):
                status, body = 403, b"<Code>ExpiredToken</Code>"
            elif self.path.startswith("/whole"):
                status, body = 200, CONTENT
            elif self.path.startswith("/moved"):
                status, body, more = 302, b"elsewhere", {"Location": "/file"}
            elif self.path.startswith("/gone"):
                status, body = 404, b"x" * 300_000
            elif self.path.startswith("/broken"):
                status, body = 500, b""
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:  # whoever asked has seen enough
                self.close_connection = True

        def log_message(self, *arguments: object) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 1024  # of 5, which is usual, connections that come together wait for seconds
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def reader(address: str) -> WebRanges:
    return WebRanges(lambda name, seconds: f"{address}/{name}")


def test_more_ranges_than_are_asked_for_at_once_come_in_order(address: str) -> None:
    ranges = [Range("file" if start % 2 else "moved", start, start + 1 + start % 50) for start in range(3 * AT_ONCE)]
    assert reader(address).read(ranges) == [CONTENT[part.start : part.end] for part in ranges]
    assert reader(address).read([]) == []


def test_each_range_has_a_reason_of_its_own(address: str) -> None:
    names = ("gone", "broken", "whole", "file", "expired")
    gone, broken, whole, sound, expired = reader(address).read([Range(name, 10, 20) for name in names])
    assert isinstance(gone, FileNotFoundError)
    assert isinstance(broken, OSError)
    assert "HTTP 500" in str(broken)
    assert isinstance(whole, UserError)
    assert "gives no parts of files" in str(whole)
    assert sound == CONTENT[10:20]
    assert isinstance(expired, PermissionError)
    assert "ExpiredToken" in str(expired)
    (short,) = reader(address).read([Range("file", len(CONTENT) - 5, len(CONTENT) + 5)])
    assert isinstance(short, ShortError)
    (nobody,) = WebRanges(lambda name, seconds: "http://127.0.0.1:9/x").read([Range("file", 0, 1)])
    assert isinstance(nobody, ConnectionError)


def test_an_address_is_kept_and_renewed_when_it_is_refused(address: str) -> None:
    signed: list[str] = []

    def sign(name: str, seconds: int) -> str:
        signed.append(name)
        return f"{address}/{'expired' if len(signed) == 1 else 'file'}"

    ranges = WebRanges(sign)
    assert ranges.read([Range("one", 3, 9), Range("one", 0, 2)]) == [CONTENT[3:9], CONTENT[:2]]
    assert ranges.read([Range("one", 5, 6)]) == [CONTENT[5:6]]
    assert signed == ["one", "one"]


def test_what_cannot_be_signed_is_said(address: str) -> None:
    def sign(name: str, seconds: int) -> str:
        raise UserError("no keys")

    (answer,) = WebRanges(sign).read([Range("one", 0, 1)])
    assert isinstance(answer, UserError)
