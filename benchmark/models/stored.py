"""Checkpoints as files from anyone: read as tensors and plain values alone, and made into networks again."""

import inspect
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.importing import foreign_code

Network = TypeVar("Network", bound=nn.Module)

MOST_PARTS = 10_000_000
"""Of what a checkpoint says besides its tensors, as the names of the videos that it was trained on."""


def read_checkpoint(path: str, option: str = "--ckpt_path") -> dict[str, Any]:
    """What a checkpoint holds, its tensors left on disk until they are used; messages name the option it came by.

    Raises:
        UserError: If the file is missing, is no checkpoint, or is damaged.
    """
    if not Path(path).is_file():
        raise UserError(f"{option} {path}: there is no such file; give a checkpoint that a fit has written")
    try:
        # Windows lets no file be replaced while it is mapped, as the last checkpoint of a run that goes on would be.
        held = torch.load(path, weights_only=True, map_location="cpu", mmap=os.name == "posix")
    except Exception as error:  # whatever torch's reader makes of bytes that are no checkpoint
        raise UserError(f"{option} {path} is no checkpoint, or is damaged; give another file") from error
    weights = held.get("state_dict") if isinstance(held, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise UserError(f"{option} {path} holds no model; give a checkpoint that a fit has written")
    checkpoint: dict[str, Any] = held
    if _has_more_parts(checkpoint, MOST_PARTS):
        raise UserError(f"{option} {path} says more than {MOST_PARTS:,} things, or the same ones without end")
    return checkpoint


def _has_more_parts(held: Any, most: int) -> bool:
    """Whether whoever goes through lists in lists meets more things; a list may hold another one many times."""
    count, waiting = 0, [held]
    while waiting and count <= most:
        part = waiting.pop()
        count += len(part)
        values = part.values() if isinstance(part, dict) else part
        waiting += [value for value in values if isinstance(value, dict | list | tuple | set)]
    return count > most


def stored_class(
    shape: Mapping[str, Any], options: Mapping[str, Any], known: Iterable[type[Network]]
) -> type[Network] | None:
    """The class of a stored network among known ones; None where none has its name.

    Args:
        shape: Names the class by itself.
        options: What it was built with; its `_class_path` says which of several classes of one name is meant.
        known: Classes that it may be.

    Raises:
        UserError: If several classes have its name, and the path leads to none of them.
    """
    name, path = shape.get("class"), options.get("_class_path")
    # Of one that was defined again, as by a cell of a notebook, the last is meant.
    places = {f"{cls.__module__}.{cls.__qualname__}": cls for cls in known if cls.__name__ == name}
    if len(places) < 2:
        return next(iter(places.values()), None)
    # The path may lead to a package that takes the class from one of its modules.
    module = sys.modules.get(str(path).rpartition(".")[0])
    meant: type[Network] | None = places.get(str(path)) or getattr(module, str(name), None)
    if meant not in places.values():
        said = "does not say which" if path is None else f"says {path}"
        raise UserError(
            f"several classes are called {name}: {', '.join(sorted(places))}; the checkpoint {said}. Rename one of "
            "them, or uninstall the package that adds it"
        )
    return meant


def network_from(
    cls: type[Network], options: Mapping[str, Any], weights: Mapping[str, Tensor], *, where: str, keep: frozenset[str]
) -> Network:
    """A network with its weights, on the processor.

    Args:
        cls: Its class.
        options: What it was built with, as plain values; names with a leading underscore are not its own.
        weights: Its tensors by name.
        where: What messages call its file.
        keep: Names that the caller gave, not the file; the other `training_options` have their defaults, since a
            trained network does not depend on them.

    Raises:
        UserError: If the class here takes other options, or makes other tensors of them, or the file's name code that
            was not imported yet.
    """
    required = {each.name for each in inspect.signature(cls).parameters.values() if each.default is each.empty}
    left_out: frozenset[str] = getattr(cls, "training_options", frozenset()) - keep
    chosen = {
        name: value
        for name, value in options.items()
        if not name.startswith("_") and (name not in left_out or name in required)
    }
    for strange in foreign_code([chosen[name] for name in chosen if name not in keep], or_imported=True):
        raise UserError(
            f"{where} names {strange}, code that is neither of this package nor imported here; look at it, and import "
            "it before if you trust it"
        )
    try:
        network = _instance(cls, chosen)
        network.load_state_dict(weights)
    except UserError:
        raise
    except (ArgumentError, RuntimeError, TypeError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise UserError(f"{where} makes no {cls.__name__} here: {first}") from error
    return network


def _instance(cls: type[Network], options: Mapping[str, Any]) -> Network:
    """A network from plain values, which become what its constructor takes as on the command line."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, "member")
    config = parser.parse_object({"member": dict(options)})
    network: Network = parser.instantiate(config).member
    return network
