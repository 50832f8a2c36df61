"""A local server that plays a site of videos: slow, broken, gone, busy, or ending too early."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class VideoSite:
    """What the server gives for each id, and what it was asked for.

    Args:
        folder: Of the videos, `ID.mp4`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = ""
        self.asked: Counter[str] = Counter()
        self.statuses: dict[str, int] = {}
        """By id: refused so, always."""
        self.passing: dict[str, list[str | int]] = {}
        """By id: what goes wrong first, a status, `truncated`, `broken`, `slow` or `length WORD`; then all is well."""
        self.busy: list[str | None] = []
        """Retry-After of the next answers to anybody, each a 429."""
        self.seconds: dict[str, float] = {}
        """By id: how long it lasts, as the site says."""
        self.wait_s = 0.0
        self._lock = threading.Lock()

    def next_fault(self, video_id: str) -> str | int | None:
        with self._lock:
            self.asked[video_id] += 1
            if self.busy:
                wait = self.busy.pop(0)
                return f"busy {wait}" if wait is not None else "busy"
            faults = self.passing.get(video_id)
            return faults.pop(0) if faults else self.statuses.get(video_id)


@contextlib.contextmanager
def video_site(folder: Path) -> Iterator[VideoSite]:
    """A site that runs as long as the context."""
    site = VideoSite(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            video_id = Path(self.path).stem
            fault = site.next_fault(video_id)
            time.sleep(site.wait_s)
            if isinstance(fault, str) and fault.startswith("busy"):
                self.send_response(429)
                if " " in fault:
                    self.send_header("Retry-After", fault.partition(" ")[2])
                self.end_headers()
            elif isinstance(fault, int):
                self.send_response(fault)
                self.end_headers()
            elif fault == "broken":
                self.connection.close()
            elif not (site.folder / f"{video_id}.mp4").is_file():
                self.send_response(404)
                self.end_headers()
            else:
                self._give((site.folder / f"{video_id}.mp4").read_bytes(), video_id, fault)

        def _give(self, content: bytes, video_id: str, fault: str | int | None) -> None:
            self.send_response(200)
            says = isinstance(fault, str) and fault.startswith("length ")
            self.send_header("Content-Length", str(fault).removeprefix("length ") if says else str(len(content)))
            self.send_header("Content-Type", "video/mp4")
            if video_id in site.seconds:
                self.send_header("X-Content-Duration", str(site.seconds[video_id]))
            self.end_headers()
            if fault == "truncated":
                content = content[: len(content) // 2]
            if fault == "slow":
                time.sleep(5)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
