"""A replica's two largest layers over several devices (Dean et al. 2012, section 3)."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from benchmark.errors import UserError
from benchmark.wording import counted

_LAYERS = 2  # in the paper's networks they hold nine tenths of the weights


class PartitionedLinear(nn.Linear):
    """A fully connected layer of which each device works out some of the outputs.

    It is saved and loaded as the layer it was made of, so that checkpoints are those of the whole network.

    Args:
        whole: The layer, whose hooks it takes over.
        devices: One for each part.
    """

    def __init__(self, whole: nn.Linear, devices: Sequence[torch.device]) -> None:
        nn.Module.__init__(self)
        vars(self).update({name: value for name, value in vars(whole).items() if name != "_parameters"})
        self.devices, self.has_bias = tuple(devices), whole.bias is not None
        for name, parameter in whole.named_parameters(recurse=False):
            for number, part in enumerate(parameter.detach().tensor_split(len(devices))):
                self.register_parameter(f"{name}_{number}", nn.Parameter(part.clone(), parameter.requires_grad))

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
        for name in self.tensors():
            for number, (part, device) in enumerate(zip(self.parts(name), self.devices, strict=True)):
                moved = nn.Parameter(part.detach().to(device), part.requires_grad)
                self.register_parameter(f"{name}_{number}", moved)

    @torch.compiler.disable  # type: ignore[untyped-decorator] # a graph is compiled for one device
    def forward(self, input: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs), on the device of the input."""
        biases = self.parts("bias") if self.has_bias else [None] * len(self.devices)
        outputs = []
        for weight, bias in zip(self.parts("weight"), biases, strict=True):
            # Devices work at the same time: nothing here waits for what was queued.
            outputs.append(F.linear(input.to(weight.device, non_blocking=True), weight, bias))
        return torch.cat([each.to(input.device, non_blocking=True) for each in outputs], -1)

    def tensors(self) -> list[str]:
        """Names of what is split."""
        return ["weight", "bias"] if self.has_bias else ["weight"]

    def parts(self, name: str) -> list[nn.Parameter]:
        """Of one of them, by device."""
        return [getattr(self, f"{name}_{number}") for number in range(len(self.devices))]

    def _joined(self, name: str) -> Tensor:
        parts = self.parts(name)
        return torch.cat([part.to(parts[0].device) for part in parts])

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name in self.tensors():
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
        for name in self.tensors():
            whole, parts = state_dict.get(prefix + name), self.parts(name)
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
            f"strategy.partitions is {partitions}, and a replica sees {counted(seen, 'GPU')}; let `launch` give it "
            f"--gpus {partitions}, or lower partitions"
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
    # Those whose weights nothing else holds or makes, as tied or normalised ones are.
    held = Counter(id(each) for _, each in network.named_parameters(remove_duplicate=False))
    layers = {
        name: layer
        for name, layer in network.named_modules()
        if type(layer) is nn.Linear
        and layer.out_features >= len(devices)
        and {"weight"} <= {*layer._parameters} <= {"weight", "bias"}
        and all(held[id(each)] == 1 for each in layer.parameters())
    }
    if not layers:
        raise UserError(
            f"strategy.partitions is {len(devices)}, and {type(network).__name__} has no fully connected layer with at "
            f"least {len(devices)} outputs to split; set partitions to 1"
        )
    made = []
    for name in sorted(layers, key=lambda name: -layers[name].weight.numel())[:_LAYERS]:
        made.append(PartitionedLinear(layers[name], devices))
        network.set_submodule(name, made[-1])
    return made


def whole_state(state: dict[str, Any], optimizer: Optimizer, layers: Sequence[PartitionedLinear]) -> dict[str, Any]:
    """An optimiser's state as if its layers were whole.

    Args:
        state: Of the optimiser.
        optimizer: Whose.
        layers: Those that are split.
    """
    held, number = dict[int, Any](), 0
    groups = []
    for group, tensors in zip(state["param_groups"], _places(optimizer, layers), strict=True):
        groups.append({**group, "params": [*range(number, number + len(tensors))]})
        for places in tensors:
            parts = [state["state"][place] for place in places if place in state["state"]]
            if parts:
                held[number] = {name: _joined([part[name] for part in parts]) for name in parts[0]}
            number += 1
    return {**state, "state": held, "param_groups": groups}


def split_state(state: dict[str, Any], optimizer: Optimizer, layers: Sequence[PartitionedLinear]) -> dict[str, Any]:
    """The reverse of `whole_state`; a state of another network is left as it is, for the optimiser to refuse."""
    found = _places(optimizer, layers)
    if [len(tensors) for tensors in found] != [len(group["params"]) for group in state["param_groups"]]:
        return state
    held, number = dict[int, Any](), 0
    for tensors in found:
        for places in tensors:
            for part, place in enumerate(places if number in state["state"] else []):
                whole = state["state"][number]
                held[place] = {name: _part_of(value, part, len(places)) for name, value in whole.items()}
            number += 1
    groups = [
        {**group, "params": [place for places in tensors for place in places]}
        for group, tensors in zip(state["param_groups"], found, strict=True)
    ]
    return {**state, "state": held, "param_groups": groups}


def place_state(optimizer: Optimizer) -> None:
    """Put what an optimiser holds of each parameter, and as many numbers of, where the parameter is."""
    for parameter, held in optimizer.state.items():
        for name, value in held.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                held[name] = value.to(parameter.device)


def _joined(values: list[Any]) -> Any:
    """What an optimiser holds of each part, a number of each or one for all."""
    if len(values) == 1 or not isinstance(values[0], Tensor) or not values[0].ndim:
        return values[0]
    return torch.cat([value.to(values[0].device) for value in values])


def _part_of(value: Any, part: int, parts: int) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.tensor_split(parts)[part].clone() if value.ndim and parts > 1 else value.clone()


def _places(optimizer: Optimizer, layers: Sequence[PartitionedLinear]) -> list[list[list[int]]]:
    """For each group of an optimiser, the places of the parameters that make up each tensor of the whole network."""
    owner = {
        id(part): (number, name)
        for number, layer in enumerate(layers)
        for name in layer.tensors()
        for part in layer.parts(name)
    }
    groups, place = [], 0
    for group in optimizer.param_groups:
        tensors = dict[Any, list[int]]()
        for parameter in group["params"]:
            tensors.setdefault(owner.get(id(parameter), id(parameter)), []).append(place)
            place += 1
        groups.append([*tensors.values()])
    return groups
