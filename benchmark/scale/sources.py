"""Where videos come from: a folder, or a mirror over HTTP; the site itself is in `site`. Nothing is counted here."""

import email.utils
import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Container
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from benchmark.data.sports1m import SUFFIXES
from benchmark.errors import UserError, printable
from benchmark.files import whole
from benchmark.scale.manifest import State

_CHUNK_BYTES = 2**20
_LAST_ASKED = 2**10  # bytes that a probe reads at most
TIMEOUT_S, LONGEST_MINUTES = 60.0, 60.0
"""After so long without a byte a try has failed, and longer videos are left out, unless something else is said."""


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

    def holds_any(self, names: Container[str]) -> bool:
        """Whether one of these videos is there; looks at the files, of which there may be fewer than names."""
        for part in self.root.iterdir():
            for file in part.iterdir() if len(part.name) == 2 and part.is_dir() else (part,):
                if file.suffix in SUFFIXES and file.stem in names and file.is_file():
                    return True
        return False

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
        longest_minutes: Longer videos are refused before they are fetched, where the mirror says how long they are.

    Raises:
        UserError: If it is no address.
    """

    def __init__(self, address: str, timeout_s: float = TIMEOUT_S, longest_minutes: float = LONGEST_MINUTES) -> None:
        _require_address(address)
        self.address = address if "{id}" in address else f"{address.rstrip('/')}/{{id}}.mp4"
        self.timeout_s, self.longest_minutes = timeout_s, longest_minutes

    def probe(self, video_id: str) -> None:
        """See `Source`."""
        with self._opened(video_id, {"Range": f"bytes=0-{_LAST_ASKED - 1}"}) as response:
            self._seconds(response)
            _read(response, _LAST_ASKED)

    def fetch(self, video_id: str, into: Path) -> Fetched:
        """See `Source`."""
        target = into / f"{video_id}{self._suffix}"
        with self._opened(video_id, {}) as response, whole(target) as unfinished:
            seconds = self._seconds(response)
            expected: int | None = getattr(response, "length", None)  # None too where what it says is no number
            with unfinished.open("wb") as file:
                while chunk := _read(response, _CHUNK_BYTES):
                    file.write(chunk)
                held = file.tell()
            if expected is not None and held != expected:
                raise FaultError(f"only {held:,} of {expected:,} bytes arrived")
        return Fetched(target, seconds, is_copy=True)

    def _seconds(self, response: Any) -> float | None:
        """How long a video lasts, if the mirror says so."""
        seconds = _number(response.headers.get("X-Content-Duration"))
        refuse_long(seconds or 0, self.longest_minutes)
        return seconds

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
        except (OSError, http.client.HTTPException, ValueError) as error:  # the last of an address it was sent on to
            raise FaultError(f"{type(error).__name__}: {error}") from None


def _require_address(address: str) -> None:
    try:
        parts = urllib.parse.urlsplit(address)
        path = f"{parts.path}{parts.query}"
        is_one = (
            bool(parts.hostname) and parts.port != 0 and path.isascii() and address.isprintable() and " " not in address
        )
    except ValueError:  # a bracket or a port that means nothing
        is_one = False
    if not is_one:
        raise UserError(
            f"--source is {printable(address)}, no web address; give one such as http://host/folder or "
            "http://host/{id}.mp4, with %20 for a blank"
        )


def refuse_long(seconds: float, longest_minutes: float) -> None:
    """Refuse a video that lasts longer than wanted.

    Raises:
        RefusedError: If it does.
    """
    if seconds > 60 * longest_minutes:
        raise RefusedError("too long", f"{seconds / 60:.0f} minutes")


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
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text.strip()) else None


def _read(response: Any, size: int) -> bytes:
    try:
        part: bytes = response.read(size)
    except (OSError, http.client.HTTPException) as error:
        raise FaultError(f"{type(error).__name__}: {error}") from None
    return part
