"""Fetching at a pace that the source bears: a rate, tries with growing waits, and one pause for all when it says so."""

import random
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import UserError
from benchmark.scale.manifest import State
from benchmark.scale.site import YtDlpSource
from benchmark.scale.sources import (
    LONGEST_MINUTES,
    TIMEOUT_S,
    BusyError,
    FaultError,
    Fetched,
    FolderSource,
    HttpSource,
    RefusedError,
    Source,
)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 30.0, 3600.0
_LONGEST_ASKED_S = 24 * 3600.0  # a source may name any date
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0


class Outcome(NamedTuple):
    """What came of trying to fetch a video.

    Attributes:
        video_id: Its name.
        state: `wanted` where nothing is settled.
        reason: In words.
        fetched: The file, where it is there.
    """

    video_id: str
    state: State
    reason: str = ""
    fetched: Fetched | None = None


class Stopped(Exception):
    """The job ends; nothing is said of the video."""


class Pace:
    """When the next request may be made, for all threads of a job.

    Args:
        per_second: Most requests a second; 0 sets no limit.
        say: Told of each pause.
        clock: Seconds that only grow.
        sleep: Waits so many seconds, at most; true where the job ends.
    """

    def __init__(
        self,
        per_second: float = 0.0,
        say: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], bool] | None = None,
    ) -> None:
        self._between = 1 / per_second if per_second else 0.0
        self._say, self._clock = say, clock
        self._stopped = threading.Event()
        self._sleep = self._stopped.wait if sleep is None else sleep
        self._lock = threading.Lock()
        self._next, self._pause_s, self._paused_until = 0.0, 0.0, 0.0

    def stop(self) -> None:
        """Let nobody wait any more, and nobody begin."""
        self._stopped.set()

    def turn(self) -> float:
        """Wait until a request may be made, and say when that is.

        Raises:
            Stopped: If the job ends.
        """
        while not self._stopped.is_set():
            with self._lock:
                now = self._clock()
                until = max(self._next, self._paused_until)
                if now >= until:
                    self._next = now + self._between
                    return now
            self.wait(until - now)
        raise Stopped

    def wait(self, seconds: float) -> None:
        """Wait.

        Raises:
            Stopped: If the job ends.
        """
        if self._sleep(seconds):
            raise Stopped

    def pause(self, asked: float, wait_s: float | None) -> None:
        """Stop all requests for a while.

        Args:
            asked: When the request was made that was answered so; answers to requests from before the pause began
                make it no longer.
            wait_s: For how long, where the source says so, a day at most; else twice as long as the time before.
        """
        with self._lock:
            now = self._clock()
            if asked < self._paused_until:
                return
            self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            seconds = self._pause_s if wait_s is None else min(max(wait_s, 1.0), _LONGEST_ASKED_S)
            self._paused_until = now + seconds
        self._say(f"the source asks for fewer requests; all wait for {seconds:.0f} s")

    def went_well(self, asked: float) -> None:
        """Let the next pause begin short again, if the request was made after the last one."""
        with self._lock:
            if asked >= self._paused_until:
                self._pause_s = 0.0


class Fetcher:
    """Fetches videos from a source; called by several threads at once.

    Args:
        source: Where they come from.
        into: Folder for copies.
        pace: Of all threads.
        tries: How often a request is made that fails for a reason that may pass.
        jitter: Draws from 0 to 1, by which waits differ.
    """

    def __init__(
        self, source: Source, into: Path, pace: Pace, tries: int = 5, jitter: Callable[[], float] = random.random
    ) -> None:
        self.source, self.into, self.pace, self.tries, self.jitter = source, into, pace, tries, jitter

    def fetch(self, video_id: str) -> Outcome:
        """Fetch a video.

        Raises:
            Stopped: If the job ends before anything is settled.
        """
        return self._settled(video_id, lambda: self.source.fetch(video_id, self.into))

    def probe(self, video_id: str) -> Outcome:
        """Ask whether a video is there; `fetched` then says that it is.

        Raises:
            Stopped: If the job ends before anything is settled.
        """
        return self._settled(video_id, lambda: self.source.probe(video_id))

    def _settled(self, video_id: str, request: Callable[[], Fetched | None]) -> Outcome:
        faults = 0
        while True:
            asked = self.pace.turn()
            try:
                fetched = request()
            except BusyError as busy:
                self.pace.pause(asked, busy.wait_s)  # says nothing of the video: no try is counted
            except RefusedError as refusal:
                self.pace.went_well(asked)
                return Outcome(video_id, refusal.state, refusal.reason)
            except FaultError as fault:
                faults += 1
                if faults >= self.tries:
                    return Outcome(video_id, "wanted", f"{fault} (tried {faults} times)")
                self.pace.wait(min(_FIRST_WAIT_S * 2 ** (faults - 1), _LONGEST_WAIT_S) * (0.5 + self.jitter()))
            else:
                self.pace.went_well(asked)
                return Outcome(video_id, "fetched", fetched=fetched)


def source_of(
    named: str,
    *,
    cookies: Path | None = None,
    longest_minutes: float = LONGEST_MINUTES,
    timeout_s: float = TIMEOUT_S,
) -> Source:
    """The source of that name: `yt-dlp`, an http(s) address, or a folder.

    Raises:
        UserError: If it is none, or cannot be used.
    """
    if named == "yt-dlp":
        return YtDlpSource(cookies, longest_minutes, timeout_s=timeout_s)
    if cookies is not None:
        raise UserError("--cookies is for --source yt-dlp alone; leave it out")
    if re.match("https?://", named):
        return HttpSource(named, timeout_s, longest_minutes)
    return FolderSource(Path(named))
