"""What a network was built with, as plain values that a checkpoint can hold and two networks can be compared by."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from benchmark.changes import changes


def plain(value: Any) -> Any:
    """The value in dictionaries, lists, texts, numbers, booleans and None alone; what is none of these by its text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if hasattr(value, "as_dict"):  # jsonargparse's Namespace
        value = value.as_dict()
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(inner) for inner in value), key=str)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def stored_shape(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the network of a checkpoint was built with, as far as it shapes it; None where the checkpoint does not say.

    Version 0.1 called the architecture of a library's network `network`.
    """
    held = checkpoint.get("architecture")
    if not isinstance(held, Mapping):
        return None
    return {"architecture" if name == "network" else str(name): value for name, value in held.items()}


def stored_options(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """All that the network of a checkpoint was built with, and as `_class_path` its class, as far as it says so."""
    held = checkpoint.get("hyper_parameters")
    return dict(held) if isinstance(held, Mapping) else {}


def differing(held: Mapping[str, Any], mine: Mapping[str, Any]) -> list[str]:
    """What a checkpoint says of a network and what the configured one is, where both know it and do not agree."""
    wording = "{name} is {begun} in the checkpoint and {now} in the configuration"
    return changes(dict(sorted(held.items())), mine, only_common=True, wording=wording)


def differing_shapes(held: Mapping[str, Tensor], mine: Mapping[str, Tensor]) -> list[str]:
    """The first tensor that has another shape in a checkpoint than in the model; nothing where all are equal."""
    stored, shapes = ({name: tuple(value.shape) for name, value in part.items()} for part in (held, mine))
    names = (name for name in (*shapes, *stored) if shapes.get(name) != stored.get(name))
    return [
        f"{name} is {stored.get(name)} in the checkpoint and {shapes.get(name)} in the model"
        for name in list(names)[:1]
    ]
