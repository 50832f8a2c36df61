"""Local SGD, and DiLoCo (Douillard et al. 2023), as a strategy: processes that train apart and meet every few steps.

What Downpour became: each process makes `every` steps of its own, then all of them change the weights that they began
with by the mean of what their steps did. With `outer_rate` 1 and no momentum that is the mean of their weights, local
SGD; DiLoCo takes that mean as a gradient for Nesterov's momentum. They talk once in `every` steps, and wait only then.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.optim import Optimizer

from benchmark.errors import UserError

_KEY = "outer_momentum"


class LocalSGD(DDPStrategy):
    """Processes that share their weights every few steps, in place of their gradients at every step.

    Validations and checkpoints see the weights that all share. Buffers, as of batch normalisation, stay each process's
    own, and checkpoints hold the first one's.

    Args:
        every: Steps of each process between two meetings.
        outer_rate: Share of the mean change that is made.
        outer_momentum: Nesterov's, over the meetings; DiLoCo takes an `outer_rate` of 0.7 with 0.9.
        options: What `DDPStrategy` takes.

    Raises:
        UserError: If a value is not allowed.
    """

    strategy_name = "local_sgd"

    def __init__(self, every: int = 10, outer_rate: float = 1.0, outer_momentum: float = 0.0, **options: Any) -> None:
        if every < 1 or outer_rate <= 0 or not 0 <= outer_momentum < 1:
            raise UserError(
                f"strategy.every is {every}, outer_rate {outer_rate:g} and outer_momentum {outer_momentum:g}; the "
                "first must be 1 or more, the second above 0, the third from 0 to below 1"
            )
        super().__init__(**options)
        self.every, self.outer_rate, self.outer_momentum = every, outer_rate, outer_momentum
        self._since = 0
        self._shared: list[Tensor] = []
        self._velocity: list[Tensor] = []

    @property
    def sharing(self) -> str:
        """How what is learned is shared, for whoever goes on with it."""
        return f"local SGD, every {self.every}, outer rate {self.outer_rate:g}, outer momentum {self.outer_momentum:g}"

    def configure_ddp(self) -> None:
        """Leave the network as it is: its gradients are the process's own."""

    def on_train_start(self) -> None:
        """Begin with the first process's weights."""
        for parameter in self._trained():
            torch.distributed.broadcast(parameter.data, 0)
        self._shared = [parameter.detach().clone() for parameter in self._trained()]
        if len(self._velocity) != len(self._shared):
            self._velocity = [torch.zeros_like(each) for each in self._shared]
        self._since = 0

    def optimizer_step(self, optimizer: Optimizer, closure: Callable[[], Any], model: Any = None, **kwargs: Any) -> Any:
        """Step as always, and meet if it is time."""
        output = super().optimizer_step(optimizer, closure, model, **kwargs)
        self._since += 1
        if self._since >= self.every:
            self.meet()
        return output

    def meet(self) -> None:
        """Let all processes have the weights that their steps since the last meeting make together; collective."""
        if not self._since:
            return
        self._since = 0
        with torch.no_grad():
            for parameter, shared, velocity in zip(self._trained(), self._shared, self._velocity, strict=True):
                change = shared - parameter
                torch.distributed.all_reduce(change)
                change /= self.world_size
                velocity.mul_(self.outer_momentum).add_(change)
                step = change.add_(velocity, alpha=self.outer_momentum) if self.outer_momentum else change
                shared.sub_(step, alpha=self.outer_rate)
                parameter.copy_(shared)

    def on_validation_start(self) -> None:
        """Validate what all share."""
        self.meet()

    def on_train_end(self) -> None:
        """End with what all share."""
        self.meet()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """What all share; every process comes here when a checkpoint is written."""
        if self._shared:
            self.meet()
        return super().lightning_module_state_dict()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """With the momentum of the meetings, so that a fit that goes on repeats one that was not stopped."""
        return {**super().optimizer_state(optimizer), _KEY: [each.cpu() for each in self._velocity]}

    def load_optimizer_state_dict(self, checkpoint: Any) -> None:
        """Take it out again."""
        for state in checkpoint["optimizer_states"]:
            self._velocity = [each.to(self.root_device) for each in state.pop(_KEY, [])]
        super().load_optimizer_state_dict(checkpoint)

    def _trained(self) -> list[torch.nn.Parameter]:
        if self.lightning_module is None:
            raise RuntimeError("there is no network yet")
        return [each for each in self.lightning_module.parameters() if each.requires_grad]
