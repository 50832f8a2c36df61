"""What an attack is, what may come of it, and how it is kept from taking the campaign with it."""

import contextlib
import dataclasses
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["survived", "refused", "fault"]
"""The right thing was done; it was refused with one message; or anything else."""

MOST_MEGABYTES = 2000
"""What one attack may add to the memory of the process that is attacked."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one attack.

    Args:
        verdict: In one word.
        what: Which attack it was, and of a fault what happened.
    """

    verdict: Verdict
    what: str


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of attack.

    Args:
        name: As `--only` takes it.
        attack: Makes the attack of a seed in an empty folder; its first argument is what `prepare` has made.
        prepare: Makes, once and in a folder of its own, what is attacked.
        size: Number of attacks of a whole campaign.
        seconds: What one attack may take.
        share: Of the campaign's time, beside the others' shares.
    """

    name: str
    attack: Callable[[Any, int, Path], Outcome]
    prepare: Callable[[Path], Any]
    size: int
    seconds: float = 60.0
    share: float = 1.0


class Fault(Exception):
    """Something that must not happen, found by an attack."""


def require(holds: bool, otherwise: str) -> None:
    """Raise a fault unless something holds.

    Raises:
        Fault: With what is wrong.
    """
    if not holds:
        raise Fault(otherwise)


class Attacked:
    """A process of its own in which attacks of one kind are made; what crashes or hangs it is a fault of that attack.

    Args:
        kind: The kind.
        folder: For everything that it writes.
    """

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self._begin()

    def _begin(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)  # what a crash has left
        context = multiprocessing.get_context("fork")
        self._end, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(self.kind, self.folder, other, self._end))
        self._process.start()
        other.close()

    def prepare(self) -> None:
        """Wait until what is attacked is there.

        Raises:
            RuntimeError: If that failed, which is no attack's fault.
        """
        said = self._end.recv()
        if said != "ready":
            raise RuntimeError(f"{self.kind.name} could not be prepared: {said}")

    def attack(self, seed: int) -> Outcome:
        """Make one attack."""
        self._end.send(seed)
        try:
            if self._end.poll(self.kind.seconds):
                outcome: Outcome = self._end.recv()
                return outcome
            said = f"nothing for {self.kind.seconds:g} seconds"
        except EOFError:
            self._process.join(5)
            said = f"the process ended with {self._process.exitcode}"
        self.close()
        self._begin()
        self.prepare()
        return Outcome("fault", said)

    def close(self) -> None:
        """End the process."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._end.close()


def _serve(kind: Kind, folder: Path, end: Connection, other: Connection) -> None:
    other.close()  # a copy, which would keep this process alive when the campaign is gone
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)  # a signal of a terminal reaches the campaign, which ends this one
    made = folder / "prepared"
    try:
        made.mkdir(parents=True, exist_ok=True)
        for each in (folder.parent, folder, made):
            each.chmod(0o755)  # other users look into it
        target = kind.prepare(made)
    except Exception:
        end.send(traceback.format_exc())
        return
    end.send("ready")
    while True:
        try:
            seed = end.recv()
        except EOFError:
            return
        end.send(_attack(kind, target, seed, folder))


def _attack(kind: Kind, target: Any, seed: int, folder: Path) -> Outcome:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with emptied(folder) as scratch:
        try:
            outcome = kind.attack(target, seed, scratch)
        except Fault as fault:
            outcome = Outcome("fault", str(fault))
        except Exception as error:
            lines = traceback.format_exc().strip().splitlines()
            place = next((line.strip() for line in reversed(lines) if line.strip().startswith("File ")), "")
            outcome = Outcome("fault", f"{type(error).__name__}: {error} ({place})")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    if grown > MOST_MEGABYTES:
        return Outcome("fault", f"{outcome.what}: it took {grown:,.0f} MB")
    return outcome


@contextlib.contextmanager
def emptied(folder: Path) -> Iterator[Path]:
    """A fresh folder below another, removed at the end whatever its rights have become."""
    scratch = Path(tempfile.mkdtemp(dir=folder))
    try:
        yield scratch
    finally:
        for path in [scratch, *scratch.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(scratch, ignore_errors=True)


@dataclasses.dataclass
class Tally:
    """What came of the attacks of one kind so far."""

    kind: Kind
    tried: int = 0
    survived: int = 0
    refused: int = 0
    faults: list[tuple[int, str]] = dataclasses.field(default_factory=list)

    def add(self, seed: int, outcome: Outcome) -> None:
        """Count one."""
        self.tried += 1
        self.survived += outcome.verdict == "survived"
        self.refused += outcome.verdict == "refused"
        if outcome.verdict == "fault":
            self.faults.append((seed, outcome.what))


def make(kind: Kind, seed: int, size: int, seconds: float, folder: Path, tell: Callable[[str], None]) -> Tally:
    """Make attacks of one kind until enough were made or the time is over.

    Args:
        kind: The kind.
        seed: Of the first attack; each later one has the next number.
        size: How many.
        seconds: What they may take together; one that has begun is finished.
        folder: For everything that is written.
        tell: Is told of each fault, with how to have it again.
    """
    tally, until = Tally(kind), time.monotonic() + seconds
    attacked = Attacked(kind, folder / kind.name)
    try:
        attacked.prepare()
        for number in range(seed, seed + size):
            if time.monotonic() > until:
                break
            outcome = attacked.attack(number)
            tally.add(number, outcome)
            if outcome.verdict == "fault":
                again = f"python -m tests.campaign --only {kind.name} --seed {number} --size 1"
                tell(f"FAULT {kind.name}: {outcome.what}\n      again: {again}")
    finally:
        attacked.close()
    return tally
