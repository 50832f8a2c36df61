"""Processes that something else has started speak before they form a group: all of them begin, or none does.

torchrun, Slurm and Ray start a process a device and leave them alone. One that cannot begin, since its machine lacks
the videos or the checkpoint, leaves the others waiting for it in the group's first operation, for half an hour. So each
says first how it is, in the store in which the group will be formed too; one that fails says why in place of its next
word.
"""

import contextlib
import datetime
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from benchmark.errors import UserError
from benchmark.files import whole

_WAIT = datetime.timedelta(minutes=30)  # as long as a group waits
_GOODBYE = datetime.timedelta(seconds=30)
_CHUNK_BYTES = 4 * 2**20  # the store takes values below 8 MiB
_IN_FLIGHT = 4  # chunks
_ASK_SECONDS = 0.02


class Meeting:
    """Words that all processes of a run exchange in turns; collective.

    Args:
        rank: Number of this process.
        processes: How many there are; a single one has nobody to talk to.
        local_rank: Its number on its machine.
        store: Where the words are kept, None for a single process.

    Raises:
        UserError: Anywhere, in every process, with what another one says that it fails of.
    """

    def __init__(self, rank: int = 0, processes: int = 1, local_rank: int = 0, store: Any = None) -> None:
        self.rank, self.processes, self.local_rank = rank, processes, local_rank
        self._store, self._turn, self._is_over = store, 0, store is None

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> "Meeting":
        """The meeting of the processes that torchrun, Slurm or Ray has started; of this one alone where none did."""
        place = _place(environment)
        return cls() if place is None else cls._at(*place)

    def of_machines(self, machines: int) -> "Meeting":
        """This one; where each machine was started by hand, with its NODE_RANK, that of their first processes."""
        names = {"NODE_RANK", "MASTER_ADDR", "MASTER_PORT"}
        if self._store is not None or machines == 1 or "LOCAL_RANK" in os.environ or not names <= os.environ.keys():
            return self
        return self._at(int(os.environ["NODE_RANK"]), machines, 0)

    @classmethod
    def _at(cls, rank: int, processes: int, local_rank: int) -> "Meeting":
        with _told_in_words():
            # Where the group is formed later, which finds this store there.
            found = next(iter(rendezvous("env://", rank, processes, timeout=_WAIT)))
            name = _agreed(PrefixStore("clipbench", found[0]), rank, processes)
        return cls(rank, processes, local_rank, PrefixStore(f"clipbench/{name}", found[0]))

    def tell(self, word: Any = None) -> list[Any]:
        """What each process says, in the order of their ranks; each must come here, or to `refuse`.

        Args:
            word: Plain values, as JSON has them.
        """
        if self._is_over:
            return [word]
        return self._exchanged({"word": word})

    def refuse(self, error: Exception) -> None:
        """Tell the others, who wait for this process's next word, why there is none."""
        if self._is_over:
            return
        with contextlib.suppress(UserError):
            self._exchanged({"problem": str(error) or type(error).__name__})

    def end(self) -> None:
        """From here on the processes are a group."""
        self._is_over = True

    def _exchanged(self, said: dict[str, Any]) -> list[Any]:
        self._turn += 1
        with _told_in_words():
            self._store.set(f"{self._turn}/{self.rank}", json.dumps(said))
            heard = [json.loads(self._store.get(f"{self._turn}/{other}")) for other in range(self.processes)]
        failed = [(other, each["problem"]) for other, each in enumerate(heard) if "problem" in each]
        if not failed:
            return [each["word"] for each in heard]
        self._is_over = True
        self._leave_last()
        other, problem = failed[0]
        raise UserError(
            problem if other == self.rank else f"process {other} of {self.processes} cannot begin: {problem}"
        )

    def _leave_last(self) -> None:
        """The first process may hold the store, which has to last until the others have read it."""
        with contextlib.suppress(RuntimeError):
            self._store.set(f"read/{self.rank}", "")
            if self.rank == 0:
                self._store.wait([f"read/{other}" for other in range(self.processes)], _GOODBYE)

    def pass_on(self, path: Path, sender: int, receivers: list[int]) -> None:
        """Hand a file from one process to others; collective, and whole or not at all.

        Args:
            path: The file, in the sender's file system and in those of the receivers.
            sender: Rank of the process that has it.
            receivers: Ranks of those that are to have it.
        """
        if self._is_over or not receivers:
            return
        own = f"file{self._turn}"
        with _told_in_words():
            if self.rank == sender:
                self._send(path, own)
            elif self.rank in receivers:
                with whole(path, shared=True) as unfinished, unfinished.open("wb") as file:
                    for chunk in self._received(own, len(receivers)):
                        file.write(chunk)

    def _send(self, path: Path, own: str) -> None:
        number = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                if number >= _IN_FLIGHT:
                    self._store.wait([f"{own}/read/{number - _IN_FLIGHT}"])
                    self._store.delete_key(f"{own}/{number - _IN_FLIGHT}")
                self._store.set(f"{own}/{number}", b"+" + chunk)
                number += 1
        self._store.set(f"{own}/{number}", b"-")

    def _received(self, own: str, receivers: int) -> Iterator[bytes]:
        number = 0
        while (chunk := self._store.get(f"{own}/{number}"))[:1] == b"+":
            yield chunk[1:]
            if self._store.add(f"{own}/readers/{number}", 1) == receivers:
                self._store.set(f"{own}/read/{number}", "")
            number += 1


def _place(environment: Mapping[str, str]) -> tuple[int, int, int] | None:
    """Rank, number of processes and rank on its machine of a process that was started from outside among several."""
    torchrun = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    if all(name in environment for name in torchrun):
        rank, processes, local_rank = (int(environment[name]) for name in torchrun[:3])
    elif "SLURM_STEP_ID" in environment and SLURMEnvironment.detect():
        slurm = SLURMEnvironment()
        rank, processes, local_rank = slurm.global_rank(), slurm.world_size(), slurm.local_rank()
        os.environ |= {"MASTER_ADDR": slurm.main_address, "MASTER_PORT": str(slurm.main_port)}
    else:
        return None
    return (rank, processes, local_rank) if processes > 1 else None


def _agreed(store: Any, rank: int, processes: int) -> str:
    """A name that only processes know that are here now.

    Where one is lost, torchrun starts all again and keeps the store, with all that was said before. Its count of the
    starts does not tell them apart: it grows only on the machine whose process was lost. So each leaves a name of its
    own, and the first one answers until all have heard it.
    """
    own = uuid.uuid4().hex
    if rank != 0:
        store.set(f"here/{rank}", own)
        name: str = store.get(f"for/{own}").decode()
        store.set(f"{name}/heard/{rank}", "")
        return name
    missing, end = set(range(1, processes)), time.monotonic() + _WAIT.total_seconds()
    while missing:
        for other in sorted(missing):
            if store.check([f"here/{other}"]):  # by this name or one that it had before
                store.set(f"for/{store.get(f'here/{other}').decode()}", own)
            if store.check([f"{own}/heard/{other}"]):
                missing.remove(other)
        if time.monotonic() > end:
            raise RuntimeError(f"process {min(missing)} does not come")
        time.sleep(_ASK_SECONDS)
    return own


@contextlib.contextmanager
def _told_in_words() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # all of torch's errors of stores
        text = str(error).splitlines()[0]
        raise UserError(
            f"the processes of this run do not reach each other: {text}; look at what the others say"
        ) from None
