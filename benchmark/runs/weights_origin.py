"""Weights are recognised by their numbers, however a network came by them.

Each fit leaves in the user's cache folder which videos its weights have seen, and hashes of the weight matrices that it
changed. A fit that begins with one of these takes over what they had seen. Weights of elsewhere are told by a network
that has the same ones whatever the seed; what these had seen nobody knows.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.caches import cache_folder
from benchmark.files import whole

_MARKED = 8  # matrices of a network
_FEWEST = 64  # numbers in one, below which two may be equal by chance
_LEAST_SHARE = 0.1  # of a network's weights that were loaded; tables that a constructor works out are smaller


def _matrices(network: nn.Module) -> dict[str, Tensor]:
    """Its weight matrices that are not constant, largest first."""
    # As a checkpoint holds them: layers that are split over devices are whole there.
    held = network.state_dict(keep_vars=True)
    for name, _ in network.named_buffers():
        held.pop(name, None)
    once = {id(value): (name, value) for name, value in reversed(held.items()) if isinstance(value, Tensor)}
    named = {name: value.detach() for name, value in once.values() if value.ndim > 1}
    told = {name: value for name, value in named.items() if value.numel() >= _FEWEST and value.min() < value.max()}
    return dict(sorted(told.items(), key=lambda item: (-item[1].numel(), item[0])))


def marks_of(network: nn.Module) -> frozenset[int]:
    """64-bit hashes of its largest weight matrices, whatever their names."""
    largest = list(_matrices(network).values())[:_MARKED]
    return frozenset(_mark(value) for value in largest)


def _mark(value: Tensor) -> int:
    held = value.cpu().contiguous().flatten().view(torch.uint8).numpy()
    return int.from_bytes(hashlib.blake2b(held.tobytes(), digest_size=8).digest(), "little", signed=True)


def origins_folder() -> Path:
    """Where fits leave what their weights have seen."""
    return cache_folder() / "weights"


def leave_origin(run: str, marks: frozenset[int], provenance: dict[str, Any]) -> None:
    """Note that weights with these marks have seen what a checkpoint's provenance says.

    A folder that takes no files is no reason to stop.

    Args:
        run: What tells this fit from others.
        marks: Of the matrices that it changed.
        provenance: As the checkpoint holds it.
    """
    name = hashlib.blake2b(run.encode(), digest_size=8).hexdigest()
    held, file = origins_folder() / f"{name}.pt", origins_folder() / f"{name}.marks"
    try:
        with whole(held, shared=True) as unfinished:
            torch.save(provenance, unfinished)
        with file.open("ab") as sink:
            sink.write(np.array(sorted(marks), "<i8").tobytes())
    except OSError:
        return


def find_origins(network: nn.Module) -> list[dict[str, Any]]:
    """What the fits that made a network's weights on this machine have left; empty where there were none."""
    marks = np.array(sorted(marks_of(network)), "<i8")
    found = []
    for file in sorted(origins_folder().glob("*.marks")):
        try:
            left = file.read_bytes()
            if np.isin(marks, np.frombuffer(left[: len(left) // 8 * 8], "<i8")).any():
                found.append(torch.load(file.with_suffix(".pt"), weights_only=True))
        except Exception:  # whatever torch's reader makes of a damaged file
            continue
    return found


def is_loaded(network: Any) -> bool:
    """Whether a network was built with weights that no seed made: built once more, it has them again."""
    first = _matrices(network)
    try:
        options = {name: value for name, value in network.hparams.items() if not name.startswith("_")}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0x5EED + torch.initial_seed() % 2**31)
            second = dict(type(network)(**options).named_parameters())
    except Exception:  # a network that cannot be built from what it remembers tells nothing
        return False
    same = [value.numel() for name, value in first.items() if name in second and _equal(value, second[name])]
    return sum(same) > _LEAST_SHARE * sum(value.numel() for value in first.values())


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one.cpu(), other.detach().cpu())
