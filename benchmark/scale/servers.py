"""Parameter servers (Dean et al. 2012, section 4.1): each holds a slice of the weights, and changes it as pushes come.

N numbers of a slice, float32. What replicas push is a change of weights: what their own steps took from the weights
since they last pushed, which for plain SGD is the learning rate times the gradients they have accrued.
"""

import dataclasses
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
