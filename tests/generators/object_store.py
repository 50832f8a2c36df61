"""A local server that speaks as much of S3 as a store needs, with a delay, and times at which it fails."""

import contextlib
import threading
import time
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from benchmark.scale.store import _file_system, _signing, _web_ranges

_SETTINGS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    # Without, objects come in chunks with checksums between them.
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
}


class ObjectStore:
    """What the server holds and gave.

    Args:
        folder: Of the objects, `BUCKET/KEY`.
        delay_s: Before each answer.
    """

    def __init__(self, folder: Path, delay_s: float = 0.0) -> None:
        self.folder, self.delay_s, self.address = folder, delay_s, ""
        self.requests, self.bytes_given = 0, 0
        self.fails_until = 0.0
        """Until this moment, by `time.monotonic`, all answers are 503."""
        self.refused = 0
        """Such answers."""

    def settings(self) -> dict[str, str]:
        """What the environment says to find it."""
        return {**_SETTINGS, "AWS_ENDPOINT_URL": self.address}

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """Let this process find it."""
        for name, value in self.settings().items():
            patch.setenv(name, value)
        for known in (_file_system, _signing, _web_ranges):
            known.cache_clear()  # which knows the address of an earlier server


@contextlib.contextmanager
def object_store(folder: Path, delay_s: float = 0.0) -> Iterator[ObjectStore]:
    """A server that runs as long as the context."""
    store = ObjectStore(folder, delay_s)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 2**16  # an answer in one piece

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            time.sleep(store.delay_s)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", headers.get("Length", str(len(body))))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                if self.command != "HEAD":
                    self.wfile.write(body)
                self.wfile.flush()
            with lock:
                store.requests += 1
                store.bytes_given += 0 if self.command == "HEAD" else len(body)

        def handle_expect_100(self) -> bool:
            going_on = super().handle_expect_100()
            self.wfile.flush()
            return going_on

        def is_refused(self) -> bool:
            """Whether the answer is that it is down, or has no such bucket."""
            if time.monotonic() < store.fails_until:
                store.refused += 1
                self.answer(503, b"<Error><Code>ServiceUnavailable</Code></Error>")
                return True
            if not (store.folder / urllib.parse.unquote(self.path.partition("?")[0]).split("/")[1]).exists():
                self.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>", Content_Type="application/xml")
                return True
            return False

        def do_GET(self) -> None:
            if self.is_refused():
                return
            parts = urllib.parse.urlsplit(self.path)
            query = urllib.parse.parse_qs(parts.query)
            path = urllib.parse.unquote(parts.path).strip("/")
            if "list-type" in query:
                self.listing(path, query.get("prefix", [""])[0])
                return
            file = store.folder / path
            if not file.is_file():
                self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
                return
            size = file.stat().st_size
            asked = self.headers.get("Range")
            first, end = 0, size
            if asked:
                low, _, high = asked.removeprefix("bytes=").partition("-")
                first, end = int(low), min(size, int(high) + 1) if high else size
            with file.open("rb") as held:
                held.seek(first)
                body = held.read(end - first)
            span = {"Content_Range": f"bytes {first}-{end - 1}/{size}"} if asked else {}
            self.answer(206 if asked else 200, body, ETag='"0"', Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT", **span)

        def do_HEAD(self) -> None:
            self.do_GET()

        def listing(self, bucket: str, prefix: str) -> None:
            folder = store.folder / bucket
            keys = sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())
            items = [key for key in keys if key.startswith(prefix) and "/" not in key[len(prefix) :]]
            more = sorted({prefix + key[len(prefix) :].partition("/")[0] + "/" for key in keys
                           if key.startswith(prefix) and "/" in key[len(prefix) :]})  # fmt: skip
            text = "".join(
                f"<Contents><Key>{escape(key)}</Key><Size>{(folder / key).stat().st_size}</Size>"
                "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
                for key in items
            ) + "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in more)
            head = '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            body = f"{head}<IsTruncated>false</IsTruncated><KeyCount>{len(items)}</KeyCount>{text}</ListBucketResult>"
            self.answer(200, body.encode(), Content_Type="application/xml")

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.is_refused():
                return
            file = store.folder / urllib.parse.unquote(self.path.partition("?")[0]).strip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)
            self.answer(200, ETag='"0"')

        def log_message(self, *arguments: object) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 1024  # of 5, which is usual, connections that come together wait for seconds
        daemon_threads = True

        def handle_error(self, *arguments: object) -> None: ...  # a client that goes away is none

    server = Server(("127.0.0.1", 0), Handler)
    store.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
