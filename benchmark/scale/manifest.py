"""What has become of each listed video: one SQLite file with one writer, right after a kill at any moment."""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Self, get_args

from filelock import FileLock, Timeout

from benchmark.errors import UserError

State = Literal["wanted", "fetched", "dead", "private", "region", "too long", "wrong duration", "undecodable"]
"""What is known of a video; `wanted` is not settled yet, `fetched` is there, the others are settled without it."""

_SCHEMA = """
create table if not exists settings (name text primary key, value text not null);
create table if not exists videos (
    row integer primary key, video_id text not null unique, shard integer not null, state text not null,
    reason text not null, changed real not null, path text, seconds real);
create index if not exists by_shard on videos (shard, row);
create table if not exists shards (number integer primary key, done real not null);
"""


class Entry(NamedTuple):
    """What the manifest holds of a video.

    Attributes:
        row: Its place in the order of the shards.
        video_id: Its name.
        state: What has become of it.
        reason: Why, in words.
        changed: When that was found out, in seconds since 1970.
        path: The fetched file, if it is still needed.
        seconds: How long it lasts as its source says, if it does.
    """

    row: int
    video_id: str
    state: State
    reason: str
    changed: float
    path: str | None
    seconds: float | None


class Manifest:
    """The manifest of one job; a second job that would write it is refused.

    Args:
        path: The file, made where it is not there.

    Raises:
        UserError: If another process writes it, or it is no manifest, or its folder cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(f"{path}.lock", timeout=0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise UserError(f"{path} is in use by another job; wait for its end, or give another --work") from None
        except OSError as error:
            raise UserError(
                f"--work is {path.parent}, where no folder can be made and written to ({error.strerror}); name another"
            ) from None
        try:
            self._open = sqlite3.connect(path, isolation_level=None)
            self._open.execute("pragma journal_mode = wal")
            self._open.executescript(_SCHEMA)
        except sqlite3.Error as error:
            self._lock.release()
            raise UserError(f"{path} is no manifest ({error}); give another --work") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()
        self._lock.release()

    def require_settings(self, settings: dict[str, str], *, note: bool = True) -> None:
        """Note what the job is about; a job that goes on must be about the same.

        Args:
            settings: By name.
            note: Whether to note them, or to compare them alone.

        Raises:
            UserError: With what differs.
        """
        held: dict[str, str] = dict(self._open.execute("select name, value from settings"))
        differs = [
            f"{name} was {held[name]} and is {value}"
            for name, value in settings.items()
            if held.get(name, value) != value
        ]
        if differs:
            raise UserError(
                f"{self.path} is of another job: {'; '.join(differs)}. Give the options of its beginning, "
                "or another --work"
            )
        if note:
            self._open.executemany("insert or ignore into settings values (?, ?)", settings.items())

    def want(self, videos: Iterable[tuple[str, int]]) -> None:
        """Add videos, as pairs of name and shard in the order of the shards, where there are none yet."""
        if self._open.execute("select 1 from videos limit 1").fetchone():
            return
        now = time.time()
        with self._writing():
            self._open.executemany(
                "insert into videos (video_id, shard, state, reason, changed) values (?, ?, 'wanted', '', ?)",
                ((video, shard, now) for video, shard in videos),
            )

    def settle(
        self, video_id: str, state: State, reason: str = "", *, path: Path | None = None, seconds: float | None = None
    ) -> None:
        """Write down what has become of a video."""
        self._open.execute(
            "update videos set state = ?, reason = ?, changed = ?, path = ?, seconds = ? where video_id = ?",
            (state, reason, time.time(), None if path is None else str(path), seconds, video_id),
        )

    def finish(self, shard: int, outcomes: Sequence[tuple[str, State, str]] = ()) -> None:
        """Write down that a shard is in the store, and which of its videos came to another end than `fetched`."""
        with self._writing():
            for video_id, state, reason in outcomes:
                self.settle(video_id, state, reason)
            self._open.execute("update videos set path = null where shard = ?", (shard,))
            self._open.execute("insert or replace into shards values (?, ?)", (shard, time.time()))

    def reopen(self, shard: int) -> None:
        """Write down that a finished shard is to be made again, of the videos that it was made of."""
        with self._writing():
            self._open.execute("delete from shards where number = ?", (shard,))
            self._open.execute(
                "update videos set state = 'wanted', reason = '', changed = ? where shard = ? "
                "and state in ('fetched', 'wrong duration', 'undecodable')",
                (time.time(), shard),
            )

    def unfinished(self) -> list[int]:
        """Numbers of the shards that are not in the store yet, ascending."""
        found = self._open.execute(
            "select distinct shard from videos where shard not in (select number from shards) order by shard"
        )
        return [number for (number,) in found]

    def finished(self) -> list[int]:
        """Numbers of those that are, ascending."""
        return [number for (number,) in self._open.execute("select number from shards order by number")]

    def shard(self, number: int) -> list[Entry]:
        """The videos of a shard, in order."""
        found = self._open.execute(
            "select row, video_id, state, reason, changed, path, seconds from videos where shard = ? order by row",
            (number,),
        )
        return [Entry(*line) for line in found]

    def entries(self) -> Iterator[Entry]:
        """All videos, in order."""
        found = self._open.execute(
            "select row, video_id, state, reason, changed, path, seconds from videos order by row"
        )
        return (Entry(*line) for line in found)

    def counts(self) -> dict[State, int]:
        """Videos by state, each of them."""
        found = dict(self._open.execute("select state, count(*) from videos group by state"))
        return {state: found.get(state, 0) for state in get_args(State)}

    def _writing(self) -> "_Transaction":
        return _Transaction(self._open)


class _Transaction:
    """Writes that are there all or not at all."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __enter__(self) -> None:
        self.connection.execute("begin")

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.connection.execute("commit" if kind is None else "rollback")
