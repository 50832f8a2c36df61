"""Downpour SGD (Dean et al. 2012, section 4.1) as a strategy of the Trainer: replicas that never wait for each other.

Each replica trains on its share of the clips. Every few steps it sends what its steps changed to the servers, and
fetches the weights that all replicas' changes have made by then. There is no process group: one that is lost or slow
holds up nobody.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import StochasticWeightAveraging, WeightAveraging
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch.optim import Optimizer

from benchmark.errors import UserError
from benchmark.scale.partitions import (
    PartitionedLinear,
    devices_of,
    partition,
    place_state,
    split_state,
    whole_state,
)
from benchmark.scale.servers import MomentumAt, Rule, ServerOptions, Servers, Staleness

REPLICA, REPLICAS, KEEPER = "CLIPBENCH_REPLICA", "CLIPBENCH_REPLICAS", "CLIPBENCH_KEEPER"
"""Variables of the environment: number of a replica, how many there are, and the actor that keeps their servers."""

_BEGIN_SECONDS = 1800.0
_ASK_SECONDS = 0.2


class Replica:
    """What one replica pushes and fetches, and when.

    Args:
        number: Which one it is.
        servers: Of all replicas.
        push_every: Steps between two pushes.
        fetch_every: Steps between two fetches.
    """

    def __init__(self, number: int, servers: Servers, push_every: int, fetch_every: int) -> None:
        self.number, self.servers = number, servers
        self.push_every, self.fetch_every = push_every, fetch_every
        self._steps = self._seen = 0
        self._before: np.ndarray | None = None  # weights at the last push or fetch
        self._accrued: np.ndarray | None = None  # changes of steps before the last fetch, which are not pushed yet

    def step(self, weights: Callable[[], np.ndarray], rate: float) -> np.ndarray | None:
        """Note that the replica has made a step.

        Args:
            weights: Gives what the step has made of them, (N,) float32.
            rate: Learning rate of the step.

        Returns:
            Weights to go on with, or None to go on with its own.
        """
        self._steps += 1
        if self._steps % self.push_every == 0:
            now = weights()
            change = self._changed(now)
            if change is not None:
                self.servers.push(self.number, change, rate, self._seen)
            self._before, self._accrued, self._seen = now, None, self._seen + 1  # its own push makes nothing staler
        return self.fetch(weights) if self._steps % self.fetch_every == 0 else None

    def fetch(self, weights: Callable[[], np.ndarray]) -> np.ndarray | None:
        """The servers' weights; None before anybody has begun. What was not pushed yet is kept for the next push."""
        version, found = self.servers.fetch()
        if found is None:
            return None
        if self._steps % self.push_every:
            self._accrued = self._changed(weights())
        self._before, self._seen = found.copy(), version
        return found

    def _changed(self, now: np.ndarray) -> np.ndarray | None:
        """What this replica's steps took from the weights since its last push; None before the first fetch."""
        if self._before is None:
            return None
        change: np.ndarray = self._before - now
        return change if self._accrued is None else np.add(self._accrued, change)


def server_options(
    push_every: int = 1,
    fetch_every: int = 1,
    servers: int = 2,
    rule: Rule = "sgd",
    momentum_at: MomentumAt = "none",
    momentum: float = 0.9,
    adagrad_rate: float = 0.01,
    wait_seconds: float = 120.0,
    partitions: int = 1,
) -> ServerOptions:
    """The servers' options; checks all of `Downpour`'s, also before there is a replica.

    Raises:
        UserError: If a value is not allowed.
    """
    if min(push_every, fetch_every, servers, partitions) < 1 or not wait_seconds >= 0:
        raise UserError(
            f"strategy.push_every is {push_every}, fetch_every {fetch_every}, servers {servers}, partitions "
            f"{partitions} and wait_seconds {wait_seconds:g}; the first four must be 1 or more, the last 0 or more"
        )
    return ServerOptions(rule, momentum_at, momentum, adagrad_rate)


def _refuse_averages(trainer: L.Trainer, partitions: int) -> None:
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, WeightAveraging | StochasticWeightAveraging):
            raise UserError(
                f"strategy.partitions is {partitions}, and {type(callback).__name__} keeps a copy of the network whose "
                "layers are whole; set partitions to 1, or leave the callback out"
            )


class Downpour(SingleDeviceStrategy):
    """A replica of Downpour SGD.

    The network's own optimiser makes the replica's steps; its momentum is set to 0 unless that is to act there.
    Each replica validates all validation videos, with the servers' weights. The first one writes the checkpoints, and
    at its end waits for the others to end.

    Args:
        push_every: Steps between two pushes.
        fetch_every: Steps between two fetches.
        servers: Slices of the weights.
        rule: See `ServerOptions`, as the next three.
        momentum_at: Where momentum acts.
        momentum: Of the servers.
        adagrad_rate: Learning rate of `adagrad`.
        wait_seconds: Most that the first replica waits at its end for the others, which may be lost or slow.
        partitions: GPUs over which a replica splits its two largest fully connected layers.

    Raises:
        UserError: If a value is not allowed.
    """

    strategy_name = "downpour"
    scores_alone = True  # each replica validates everything, as none waits for another

    def __init__(
        self,
        push_every: int = 1,
        fetch_every: int = 1,
        servers: int = 2,
        rule: Rule = "sgd",
        momentum_at: MomentumAt = "none",
        momentum: float = 0.9,
        adagrad_rate: float = 0.01,
        wait_seconds: float = 120.0,
        partitions: int = 1,
    ) -> None:
        self.options = server_options(
            push_every, fetch_every, servers, rule, momentum_at, momentum, adagrad_rate, wait_seconds, partitions
        )
        self.push_every, self.fetch_every, self.wait_seconds = push_every, fetch_every, wait_seconds
        self.replica = int(os.environ.get(REPLICA, "0"))
        self.servers = Servers(servers, self.options, os.environ.get(KEEPER, ""), self.replica)
        super().__init__(device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        self._devices = devices_of(self.root_device, partitions)
        self._partitioned: list[PartitionedLinear] = []
        self.global_rank, self.world_size = self.replica, int(os.environ.get(REPLICAS, "1"))
        self.local_rank = self.servers.local_rank
        self._own = Replica(self.replica, self.servers, push_every, fetch_every)

    @property
    def sharing(self) -> str:
        """How what is learned is shared, for whoever goes on with it."""
        held = self.options
        return (
            f"downpour, push {self.push_every}, fetch {self.fetch_every}, {held.rule}, momentum at {held.momentum_at}"
        )

    @property
    def is_global_zero(self) -> bool:
        """Whether this is the replica that writes."""
        return self.replica == 0

    def setup(self, trainer: L.Trainer) -> None:
        """Begin with the first replica's weights, and take the optimiser's momentum away where it acts elsewhere."""
        if trainer.state.fn == "fit" and len(self._devices) > 1 and self.lightning_module is not None:
            _refuse_averages(trainer, len(self._devices))
            self._partitioned = partition(self.lightning_module, self._devices)  # with what callbacks have put in
        super().setup(trainer)
        if trainer.state.fn != "fit":
            return
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                if self.options.momentum_at != "replica" and group.get("momentum"):
                    group["momentum"] = 0.0

    def model_to_device(self) -> None:
        """Put the network on the first device, and the parts of its large layers on theirs."""
        super().model_to_device()
        for layer in self._partitioned:
            layer.place()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """As if no layer were split."""
        own = getattr(optimizer, "_optimizer", optimizer)  # within Lightning's
        return whole_state(super().optimizer_state(optimizer), own, self._partitioned)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """The reverse."""
        states = zip(checkpoint["optimizer_states"], self.optimizers, strict=False)
        split = [split_state(state, optimizer, self._partitioned) for state, optimizer in states]
        super().load_optimizer_state_dict({**checkpoint, "optimizer_states": split})

    def on_train_start(self) -> None:
        """Wait for the weights, which after a resume are those of the checkpoint."""
        for optimizer in self.optimizers:
            place_state(optimizer)  # which Lightning has put on the first device
        if self.is_global_zero:
            self.servers.begin(self._weights())
        until = time.monotonic() + _BEGIN_SECONDS
        while not self._take(self._own.fetch(self._weights)):
            if time.monotonic() > until:
                raise UserError(f"replica {self.replica} waits for the first one's weights since {_BEGIN_SECONDS:g} s")
            time.sleep(_ASK_SECONDS)

    def optimizer_step(self, optimizer: Optimizer, closure: Callable[[], Any], model: Any = None, **kwargs: Any) -> Any:
        """Step as always; every few steps push what was changed, and fetch what all have made of it."""
        output = super().optimizer_step(optimizer, closure, model, **kwargs)
        self._take(self._own.step(self._weights, float(optimizer.param_groups[0]["lr"])))
        return output

    def on_validation_start(self) -> None:
        """Validate what all replicas have made."""
        if self.lightning_module is not None and self.lightning_module.trainer.state.fn == "fit":
            trainer = self.lightning_module.trainer
            is_last = trainer.max_epochs is not None and trainer.current_epoch + 1 >= trainer.max_epochs
            if is_last:
                self.servers.finish(self.replica)
                if self.is_global_zero:
                    self._wait_for_others()
            self._take(self._own.fetch(self._weights))

    def _wait_for_others(self) -> None:
        until = time.monotonic() + self.wait_seconds
        while len(self.servers.state()["finished"]) < self.world_size and time.monotonic() < until:
            time.sleep(_ASK_SECONDS)

    def on_train_end(self) -> None:
        """Say what reached the servers, and how stale it was."""
        if not self.is_global_zero:
            return
        state = self.servers.state()
        lines = []
        for number, counts in state["staleness"].items():
            stale = Staleness(counts)
            lines.append(
                f"  replica {number}: {stale.pushes} pushes, staleness mean {stale.mean:.2f}, 95th percentile "
                f"{stale.percentile(0.95)}, most {max(counts)}"
            )
        print("\n".join([f"downpour: {state['pushes']} pushes reached the servers", *lines]), flush=True)

    def _trained(self) -> list[torch.nn.Parameter]:
        if self.lightning_module is None:
            raise RuntimeError("there is no network yet")
        return [each for each in self.lightning_module.parameters() if each.requires_grad]

    def _weights(self) -> np.ndarray:
        return np.concatenate([each.detach().float().cpu().numpy().reshape(-1) for each in self._trained()])

    def _take(self, weights: np.ndarray | None) -> bool:
        """Go on with weights of the servers, where there are any."""
        if weights is None:
            return False
        first = 0
        with torch.no_grad():
            for parameter in self._trained():
                part = weights[first : first + parameter.numel()]
                parameter.copy_(torch.from_numpy(part.copy()).view_as(parameter))
                first += parameter.numel()
        return True
