"""Processes that train or test together end together: one that is lost or fails takes the others with it.

PyTorch's processes wait for each other inside collective operations, on a GPU for up to half an hour, whatever became
of the one they wait for. So each keeps a connection to the first process besides, which the system closes when a
process dies, however it does; one that fails says why before it goes. A process that lives and does nothing, as one
that was frozen, is known by its silence: each sends a word every few seconds.
"""

import contextlib
import hmac
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from typing import Any

import lightning as L
import torch.distributed
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from lightning.pytorch.utilities.exceptions import SIGTERMException

from benchmark.errors import UserError

GRACE_SECONDS = 15.0
"""What a process has to end by itself once another one has left."""

BEAT_SECONDS = 5.0
"""Between two words of a process that is well."""

_MOST_SILENT = 8  # of these; counted, as no clock tells whether it was this process that was stopped
_CONNECT_SECONDS = 30.0
_MOST_BYTES = 4096
_END, _BEAT = "end", "well"


class LostProcess(UserError):
    """Another process of the run is gone, for no fault of what was asked for; with a new one the run may go on."""


class LocalSignals(_SignalConnector):
    """Notes SIGTERM and hands it to the processes that this one has started.

    Lightning's own handler also broadcasts from within the signal, in the middle of whatever the processes are saying
    to each other, and so they wait for ever.
    """

    def _sigterm_notifier_fn(self, signum: Any, _: Any) -> None:
        launcher = self.trainer.strategy.launcher
        if not self.received_sigterm and launcher is not None:
            launcher.kill(signum)
        self.received_sigterm = True


class EndTogether(L.Callback):
    """Ends this process soon after another one of its run has failed, or is there no more.

    Raises:
        UserError: By `refuse`, in place of what a collective operation says of a process that left.
    """

    def __init__(self) -> None:
        self.lost: tuple[int, str] | None = None  # exit code and reason, once another process has left
        self._ends: dict[socket.socket, int] = {}  # rank at the other end
        self._is_over, self._rank, self._processes = False, 0, 1

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Connect, once every process knows that it has the same videos as the others."""
        if trainer.world_size == 1 or self._ends or not torch.distributed.is_initialized():
            return
        self._rank, self._processes = trainer.global_rank, trainer.world_size
        environment = getattr(trainer.strategy, "cluster_environment", None)
        self._connect(str(getattr(environment, "main_address", None) or os.environ.get("MASTER_ADDR", "127.0.0.1")))
        for end, rank in self._ends.items():
            threading.Thread(target=self._listen, args=(end, rank), name="end together", daemon=True).start()
        if self._ends:
            threading.Thread(target=self._beat, name="beat", daemon=True).start()

    def _connect(self, address: str) -> None:
        """To the first process, or in it from all others; nobody is connected where that cannot be."""
        server, place = None, [("", 0, "")]
        if self._rank == 0:
            with contextlib.suppress(OSError):
                server = socket.create_server((address, 0))
                place = [(address, server.getsockname()[1], secrets.token_hex(16))]
        torch.distributed.broadcast_object_list(place)
        ((address, port, token),) = place
        if not port:
            return
        if server is None:
            with contextlib.suppress(OSError):
                end = socket.create_connection((address, port), _CONNECT_SECONDS)
                end.sendall(f"{token} {self._rank}\n".encode())
                self._add(end, 0)
        else:
            self._accept(server, token)
        connected = [False] * self._processes
        torch.distributed.all_gather_object(connected, len(self._ends) == (self._processes - 1 if server else 1))
        if not all(connected):
            self._close()

    def _accept(self, server: socket.socket, token: str) -> None:
        until = time.monotonic() + _CONNECT_SECONDS
        with server, contextlib.suppress(OSError):
            while len(self._ends) < self._processes - 1:
                server.settimeout(max(0.1, until - time.monotonic()))
                end, _ = server.accept()
                end.settimeout(_CONNECT_SECONDS)
                said, _, rank = _line(end).partition(" ")
                if hmac.compare_digest(said.encode(), token.encode()) and rank.isdecimal():
                    self._add(end, int(rank))
                else:  # anyone on the network may call
                    end.close()

    def _add(self, end: socket.socket, rank: int) -> None:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a machine that is lost closes nothing
        for name, seconds in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, name):
                end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
        self._ends[end] = rank

    def _beat(self) -> None:
        while not self._is_over and self.lost is None:
            self._say(_BEAT)
            time.sleep(BEAT_SECONDS)

    def _listen(self, end: socket.socket, rank: int) -> None:
        said, silent = _BEAT, 0
        while said == _BEAT and silent < _MOST_SILENT:
            try:
                end.settimeout(BEAT_SECONDS)
                said, silent = _line(end), 0
            except TimeoutError:
                silent += 1
            except OSError:
                said = ""
        if said == _END or self._is_over:
            return
        try:
            code, text = json.loads(said)
        except ValueError:
            what = "does not answer any more" if said else "is lost"
            code, text = 1, f"process {rank} of {self._processes} {what}"
        self._leave(int(code), str(text))

    def _leave(self, code: int, text: str) -> None:
        """Tell the others, and see to it that this process ends."""
        if self.lost is None:
            self.lost = code, text
            self._say(json.dumps([code, text])[:_MOST_BYTES])
        time.sleep(GRACE_SECONDS)
        if not self._is_over:
            print(f"clipbench: {text}; this process ends too", file=sys.stderr, flush=True)
            os._exit(code)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Say why this process leaves; it has to be gone soon, whatever it still waits for."""
        if not self._ends or self.lost is not None:
            return
        reason = " ".join(str(exception).split())[:1000] or type(exception).__name__
        code = 2 if isinstance(exception, UserError) else 1
        if isinstance(exception, SIGTERMException):
            code, reason = 128 + signal.SIGTERM, "it was stopped by SIGTERM"
        text = f"process {self._rank} of {self._processes} left: {reason}"
        threading.Thread(target=self._leave, args=(code, text), name="leave", daemon=True).start()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """The planned end."""
        if self.lost is None:
            self._is_over = True
            self._say(_END)
            self._close()

    def refuse(self) -> None:
        """Raise what made the others leave, if they have.

        Raises:
            UserError: With the reason; `LostProcess` where that was no refusal.
            SIGTERMException: If it was an order to stop.
        """
        if self.lost is None:
            return
        code, text = self.lost
        if code == 128 + signal.SIGTERM:
            raise SIGTERMException
        raise LostProcess(text) if code == 1 else UserError(text)

    def _say(self, text: str) -> None:
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.sendall(f"{text}\n".encode())

    def _close(self) -> None:
        for end in self._ends:
            end.close()
        self._ends = {}


def _line(end: socket.socket) -> str:
    """What is said up to the end of the line; empty if the other side is gone."""
    said = b""
    while not said.endswith(b"\n") and len(said) <= _MOST_BYTES:
        part = end.recv(1)  # no more than the line, as the next one may have come already
        if not part:
            return ""
        said += part
    return said.decode("utf-8", "replace").strip()
