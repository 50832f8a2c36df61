"""A replica's two largest layers over several devices (Dean et al. 2012, section 3)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.errors import UserError

_LAYERS = 2  # in the paper's networks they hold nine tenths of the weights


class PartitionedLinear(nn.Linear):
    """A fully connected layer of which each device works out some of the outputs.

    It is saved and loaded as the layer it was made of, so that checkpoints are those of the network as it is.

    Args:
        whole: The layer.
        devices: One for each part.
    """

    def __init__(self, whole: nn.Linear, devices: Sequence[torch.device]) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features, self.devices = whole.in_features, whole.out_features, tuple(devices)
        self.has_bias = whole.bias is not None
        for name, parameter in whole.named_parameters(recurse=False):
            for number, part in enumerate(parameter.detach().tensor_split(len(devices))):
                self.register_parameter(f"{name}_{number}", nn.Parameter(part.clone(), parameter.requires_grad))
        self.train(whole.training)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """All weights (outputs, inputs), on the first device."""
        return self._joined("weight")

    @property
    def bias(self) -> Tensor | None:  # type: ignore[override]
        """All biases (outputs,), on the first device, or None."""
        return self._joined("bias") if self.has_bias else None

    def place(self) -> None:
        """Put each part on its device, before an optimiser knows it."""
        for name in self._names():
            for number, (part, device) in enumerate(zip(self._parts(name), self.devices, strict=True)):
                moved = nn.Parameter(part.detach().to(device), part.requires_grad)
                self.register_parameter(f"{name}_{number}", moved)

    @torch.compiler.disable  # type: ignore[untyped-decorator] # a graph is compiled for one device
    def forward(self, input: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs), on the device of the input."""
        biases = self._parts("bias") if self.has_bias else [None] * len(self.devices)
        outputs = []
        for weight, bias in zip(self._parts("weight"), biases, strict=True):
            # Devices work at the same time: nothing here waits for what was queued.
            outputs.append(F.linear(input.to(weight.device, non_blocking=True), weight, bias))
        return torch.cat([each.to(input.device, non_blocking=True) for each in outputs], -1)

    def _names(self) -> list[str]:
        return ["weight", "bias"] if self.has_bias else ["weight"]

    def _parts(self, name: str) -> list[nn.Parameter]:
        return [self.get_parameter(f"{name}_{number}") for number in range(len(self.devices))]

    def _joined(self, name: str) -> Tensor:
        parts = self._parts(name)
        return torch.cat([part.to(parts[0].device) for part in parts])

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name in self._names():
            joined = self._joined(name)
            destination[prefix + name] = joined if keep_vars else joined.detach()

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        for name in self._names():
            whole, parts = state_dict.get(prefix + name), self._parts(name)
            if whole is None:
                missing_keys.append(prefix + name)
                continue
            shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
            if whole.shape != shape:
                error_msgs.append(f"size mismatch for {prefix}{name}: {tuple(whole.shape)} in place of {shape}")
                continue
            with torch.no_grad():
                for part, values in zip(parts, whole.tensor_split(len(parts)), strict=True):
                    part.copy_(values)


def devices_of(root: torch.device, partitions: int) -> list[torch.device]:
    """The devices of a replica's parts: GPUs of its machine, or the processor for all.

    Args:
        root: Of the replica.
        partitions: How many parts.

    Raises:
        UserError: If the replica sees fewer GPUs.
    """
    if root.type != "cuda":
        return [root] * partitions
    seen = torch.cuda.device_count()
    if seen < partitions:
        raise UserError(
            f"strategy.partitions is {partitions}, and a replica sees {seen} GPUs; let `launch` give it --gpus "
            f"{partitions}, or lower partitions"
        )
    return [torch.device("cuda", number) for number in range(partitions)]


def partition(network: nn.Module, devices: Sequence[torch.device]) -> list[PartitionedLinear]:
    """Split the largest fully connected layers of a network, in their places.

    Args:
        network: Whose.
        devices: One for each part.

    Returns:
        What stands in their places.

    Raises:
        UserError: If no layer has that many outputs.
    """
    layers = [each for each in network.modules() if type(each) is nn.Linear and each.out_features >= len(devices)]
    if not layers:
        raise UserError(
            f"strategy.partitions is {len(devices)}, and {type(network).__name__} has no fully connected layer of so "
            "many outputs to split; let it be 1"
        )
    largest = sorted(layers, key=lambda layer: layer.weight.numel(), reverse=True)[:_LAYERS]
    made = {layer: PartitionedLinear(layer, devices) for layer in largest}
    for name, layer in list(network.named_modules(remove_duplicate=False)):
        if layer in made:
            network.set_submodule(name, made[layer])
    return list(made.values())
