"""Parameter servers (Dean et al. 2012, section 4.1): each holds a slice of the weights, and changes it as pushes come.

N numbers of a slice, float32. What replicas push is a change of weights: what their own steps took from the weights
since they last pushed, which for plain SGD is the learning rate times the gradients they have accrued.
"""

import dataclasses
import importlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from benchmark.errors import UserError

Rule = Literal["sgd", "adagrad"]
MomentumAt = Literal["none", "server", "replica"]

_TINY = 1e-10


@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """How a server applies what it is sent.

    Args:
        rule: `sgd` subtracts a change; `adagrad` divides each number of the gradient by the root of the sum of its
            squares so far (section 4.1).
        momentum_at: Where momentum acts. At the `server` it sums over all replicas' pushes, which their number makes
            larger; at a `replica` over its own gradients.
        momentum: Of the server, where it acts there.
        adagrad_rate: Learning rate of `adagrad`, in place of the replicas' own.

    Raises:
        UserError: If a value is not allowed, or two do not go together.
    """

    rule: Rule = "sgd"
    momentum_at: MomentumAt = "none"
    momentum: float = 0.9
    adagrad_rate: float = 0.01

    def __post_init__(self) -> None:
        if self.rule not in ("sgd", "adagrad") or self.momentum_at not in ("none", "server", "replica"):
            raise UserError(
                f"strategy.rule is {self.rule} and strategy.momentum_at {self.momentum_at}; allowed are sgd and "
                "adagrad, and none, server and replica"
            )
        if self.rule == "adagrad" and self.momentum_at != "none":
            raise UserError(f"strategy.momentum_at is {self.momentum_at}, which adagrad has no use for; let it be none")
        if not 0 <= self.momentum < 1 or not self.adagrad_rate > 0:
            raise UserError(
                f"strategy.momentum is {self.momentum} and strategy.adagrad_rate {self.adagrad_rate}; the first must "
                "be from 0 to below 1, the second above 0"
            )


class Staleness:
    """How many pushes of others came between a replica's fetch and its push.

    Args:
        counts: Of pushes, by their staleness.
    """

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts = Counter(counts)

    def add(self, value: int) -> None:
        """Count one push."""
        self.counts[value] += 1

    @property
    def pushes(self) -> int:
        """That were counted."""
        return self.counts.total()

    @property
    def mean(self) -> float:
        """Of all pushes; 0 before the first."""
        return sum(value * count for value, count in self.counts.items()) / max(self.pushes, 1)

    def percentile(self, share: float) -> int:
        """The least staleness that at least this share, 0 to 1, of the pushes does not exceed; 0 before the first."""
        below = 0
        for value, count in sorted(self.counts.items()):
            below += count
            if below >= share * self.pushes:
                return value
        return 0


class SliceServer:
    """A slice of the weights.

    Args:
        options: How pushes are applied.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self._weights: np.ndarray | None = None
        self._memory = np.zeros(0, np.float32)  # velocity, or sums of squares
        self._version = 0
        self._by_replica: dict[int, Staleness] = {}
        self._finished: set[int] = set()

    def begin(self, weights: np.ndarray) -> None:
        """Take the weights, (N,) float32, to begin with; those of an earlier begin go."""
        self._weights, self._memory = weights.copy(), np.zeros_like(weights)

    def push(self, replica: int, change: np.ndarray, rate: float, seen: int) -> None:
        """Apply a change.

        Args:
            replica: Whose.
            change: (N,) float32, what is to be subtracted by plain SGD.
            rate: Learning rate in it.
            seen: The version that the replica's weights are of, and its own pushes since.
        """
        if self._weights is None:
            raise RuntimeError("a change came before the weights")
        self._by_replica.setdefault(replica, Staleness()).add(max(self._version - seen, 0))
        options, self._version = self.options, self._version + 1
        if options.rule == "adagrad":
            gradient = change / max(rate, _TINY)
            self._memory += gradient**2
            self._weights -= options.adagrad_rate * gradient / (np.sqrt(self._memory) + _TINY)
        elif options.momentum_at == "server":
            self._memory = options.momentum * self._memory + change
            self._weights -= self._memory
        else:
            self._weights -= change

    def fetch(self) -> tuple[int, np.ndarray | None]:
        """The number of pushes so far and the weights (N,); None before `begin`."""
        return self._version, self._weights

    def finish(self, replica: int) -> None:
        """Note that a replica has made its last step."""
        self._finished.add(replica)

    def state(self) -> dict[str, Any]:
        """Pushes, those of each replica counted by their staleness, and the replicas that have finished."""
        by_replica = {number: dict(each.counts) for number, each in sorted(self._by_replica.items())}
        return {"pushes": self._version, "staleness": by_replica, "finished": sorted(self._finished)}


class Keeper:
    """An actor of whoever launches the replicas: it makes the servers, which end with it, and knows who is where."""

    def __init__(self) -> None:
        self._servers: list[Any] = []
        self._on_machine: dict[str, list[int]] = {}

    def servers(self, count: int, options: ServerOptions) -> list[Any]:
        """The servers; the first to ask has them made."""
        if not self._servers:
            actor = importlib.import_module("ray").remote(num_cpus=0)(SliceServer)
            self._servers = [actor.remote(options) for _ in range(count)]
        return self._servers

    def join(self, replica: int, machine: str) -> int:
        """The number of a replica among those of its machine."""
        there = self._on_machine.setdefault(machine, [])
        if replica not in there:
            there.append(replica)
        return there.index(replica)


class Servers:
    """The servers of a run as one vector of weights, cut into equal slices.

    Args:
        count: How many.
        options: How each applies what it is sent.
        keeper: Name of the actor that keeps them; empty for servers in this process, of a replica alone.
        replica: Who asks.
    """

    def __init__(self, count: int, options: ServerOptions, keeper: str = "", replica: int = 0) -> None:
        self._ray: Any = importlib.import_module("ray") if keeper else None
        self.local_rank = 0  # of the replica on its machine
        if self._ray is None:
            self._slices: list[Any] = [SliceServer(options) for _ in range(count)]
        else:
            held, machine = self._ray.get_actor(keeper), self._ray.get_runtime_context().get_node_id()
            self._slices = self._ray.get(held.servers.remote(count, options))
            self.local_rank = self._ray.get(held.join.remote(replica, machine))

    def _call(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of each, with an argument of each one's own where that is a list; Ray's calls do not wait."""
        calls = []
        for number, each in enumerate(self._slices):
            own = [argument[number] if isinstance(argument, list) else argument for argument in arguments]
            call = getattr(each, method)
            calls.append(call(*own) if self._ray is None else call.remote(*own))
        return calls

    def _answers(self, method: str, *arguments: Any) -> list[Any]:
        calls = self._call(method, *arguments)
        return calls if self._ray is None else list(self._ray.get(calls))

    def begin(self, weights: np.ndarray) -> None:
        """Let all replicas begin with these weights, (N,) float32."""
        self._answers("begin", np.array_split(weights, len(self._slices)))

    def push(self, replica: int, change: np.ndarray, rate: float, seen: int) -> None:
        """Send a change, (N,) float32, and go on; see `SliceServer.push`."""
        self._call("push", replica, np.array_split(change, len(self._slices)), rate, seen)

    def fetch(self) -> tuple[int, np.ndarray | None]:
        """Pushes that the first server has applied, and the weights (N,) float32; None before any replica has begun."""
        found = self._answers("fetch")
        slices = [weights for _, weights in found]
        return found[0][0], None if any(each is None for each in slices) else np.concatenate(slices)

    def finish(self, replica: int) -> None:
        """Note that a replica has made its last step."""
        self._answers("finish", replica)

    def state(self) -> dict[str, Any]:
        """What the first server says of pushes, staleness and finished replicas."""
        said: dict[str, Any] = self._answers("state")[0]
        return said
