"""Byte ranges of files by their web addresses, many at the same time, at little processor time for each.

A store on S3 is read by signed addresses, which serve for an hour: of a request of 23 kB libcurl takes 0.08 ms of
processor time, urllib3 0.45 and s3fs 1.4. Nothing is shared with the process that this one was forked from.
"""

import functools
import importlib
import io
import os
import select
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmark.errors import UserError

AT_ONCE = 64  # requests of a thread
_SIGNED_S = 3600
_RENEWED_S = 1800  # a signature is not used for longer
_MOST_ADDRESSES = 100_000
_OK, _PART, _REFUSED, _GONE, _BEYOND = 200, 206, (301, 400, 403), (404, 410), 416
_CONNECT_S, _SILENT_S = 10, 60
_REDIRECTS, _LOOK_S, _NAP_S = 5, 1.0, 0.005


class ShortError(OSError):
    """A file ends before the bytes that were asked for."""


class Range(NamedTuple):
    """Some bytes of a file, from `start` to before `end`."""

    name: str
    start: int
    end: int


Signing = Callable[[str, int], str]
"""Web address of a file by its name, which serves for so many seconds."""


class WebRanges:
    """Reads ranges of files by their addresses.

    Args:
        sign: Gives the addresses.
    """

    def __init__(self, sign: Signing) -> None:
        self._sign = sign
        self._lock = threading.Lock()
        self._addresses: dict[str, tuple[str, float]] = {}

    def read(self, ranges: Sequence[Range]) -> list[bytes | Exception]:
        """The bytes of each range, or why they did not come."""
        found = self._read(ranges)
        refused = [place for place, answer in enumerate(found) if isinstance(answer, PermissionError)]
        if refused:  # the keys that signed may have run out since
            with self._lock:
                for place in refused:
                    self._addresses.pop(ranges[place].name, None)
            for place, answer in zip(refused, self._read([ranges[place] for place in refused]), strict=True):
                found[place] = answer
        return found

    def _read(self, ranges: Sequence[Range]) -> list[bytes | Exception]:
        calls: list[bytes | Exception | _Call] = []
        for part in ranges:
            try:
                calls.append(_Call(part, self._address(part.name)))
            except Exception as error:
                calls.append(error)
        _line(os.getpid(), threading.get_ident()).make([call for call in calls if isinstance(call, _Call)])
        return [call.answer() if isinstance(call, _Call) else call for call in calls]

    def _address(self, name: str) -> str:
        with self._lock:
            found, until = self._addresses.get(name, ("", 0.0))
        if time.monotonic() < until:
            return found
        found = self._sign(name, _SIGNED_S)
        with self._lock:
            if len(self._addresses) >= _MOST_ADDRESSES:
                self._addresses.clear()
            self._addresses[name] = found, time.monotonic() + _RENEWED_S
        return found


class _Call:
    """A request and what came of it.

    Args:
        part: What is wanted.
        address: Where.
    """

    def __init__(self, part: Range, address: str) -> None:
        self.part, self.address = part, address
        self.status, self.problem = 0, ""
        self.body = io.BytesIO()

    def take(self, block: bytes) -> int | None:
        """Keep some of the answer; stop where all of a file comes in place of a part."""
        if self.body.tell() > 2 * (self.part.end - self.part.start) + 2**16:
            return 0
        self.body.write(block)
        return None

    def answer(self) -> bytes | Exception:
        """The bytes, or why they did not come."""
        part, held = self.part, self.body.getvalue()
        if self.status == _OK:
            split = urllib.parse.urlsplit(self.address)
            return UserError(f"the server of {split.scheme}://{split.netloc} gives no parts of files; use another")
        if self.status in _GONE:
            return FileNotFoundError(part.name)
        if self.status in _REFUSED:
            return PermissionError(f"the store does not give {part.name}: {held[:200]!r}")
        if self.problem:
            return ConnectionError(f"{part.name}: {self.problem}")
        if self.status == _BEYOND or (self.status == _PART and len(held) != part.end - part.start):
            return ShortError(f"{part.name} is shorter than it should be")
        return held if self.status == _PART else OSError(f"{part.name}: HTTP {self.status} {held[:200]!r}")


class _Line:
    """Connections of a thread, which stay open between calls."""

    def __init__(self) -> None:
        self._curl: Any = importlib.import_module("pycurl")  # an extra
        self._calls = self._curl.CurlMulti()
        self._calls.setopt(self._curl.M_MAXCONNECTS, AT_ONCE)
        self._idle: list[Any] = []

    def make(self, calls: Sequence[_Call]) -> None:
        """Make some calls, so many at a time."""
        waiting, running = list(reversed(calls)), dict[Any, _Call]()
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                self._begin(waiting.pop(), running)
            while self._calls.perform()[0] == self._curl.E_CALL_MULTI_PERFORM:
                pass
            left = 1
            while left:
                left, done, failed = self._calls.info_read()
                for handle, problem in [*((one, "") for one in done), *((one, why) for one, _, why in failed)]:
                    self._calls.remove_handle(handle)
                    call = running.pop(handle)
                    call.status, call.problem = handle.getinfo(self._curl.RESPONSE_CODE), problem
                    self._idle.append(handle)
            if running:
                self._wait()

    def _wait(self) -> None:
        """Until a connection has something to do, or libcurl itself."""
        until_ms, sockets = self._calls.timeout(), self._calls.fdset()
        wait_s = _LOOK_S if until_ms < 0 else min(_LOOK_S, until_ms / 1e3)
        if any(sockets):
            reading, writing, failing = sockets
            select.select(reading, writing, failing, wait_s)
        else:
            time.sleep(min(wait_s, _NAP_S))

    def _begin(self, call: _Call, running: dict[Any, _Call]) -> None:
        handle = self._idle.pop() if self._idle else self._new()
        handle.setopt(self._curl.URL, call.address)
        handle.setopt(self._curl.RANGE, f"{call.part.start}-{call.part.end - 1}")
        handle.setopt(self._curl.WRITEFUNCTION, call.take)
        running[handle] = call
        self._calls.add_handle(handle)

    def _new(self) -> Any:
        curl, handle = self._curl, self._curl.Curl()
        for option, value in {
            curl.NOSIGNAL: 1,
            curl.FOLLOWLOCATION: 1,
            curl.MAXREDIRS: _REDIRECTS,
            curl.CONNECTTIMEOUT: _CONNECT_S,
            curl.LOW_SPEED_LIMIT: 1,
            curl.LOW_SPEED_TIME: _SILENT_S,
        }.items():
            handle.setopt(option, value)
        trusted = ssl.get_default_verify_paths()
        if file := os.environ.get("AWS_CA_BUNDLE") or trusted.cafile:
            handle.setopt(curl.CAINFO, file)
        elif trusted.capath:
            handle.setopt(curl.CAPATH, trusted.capath)
        return handle


@functools.lru_cache(maxsize=64)
def _line(process: int, thread: int) -> _Line:
    return _Line()
