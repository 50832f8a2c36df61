"""Published weights from a file: what fits is loaded, the head is replaced, anything else is refused.

Nothing is ever downloaded, and a file is read as tensors only.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.errors import UserError
from benchmark.wording import counted

_WRAPPERS = ("model_state", "state_dict", "model")  # pytorchvideo's files, and two usual others
_PREFIX = "network."  # what the adapters call the library's network
_SHOWN = 3


class Loaded(NamedTuple):
    """What came of loading weights.

    Args:
        said: One sentence about what was loaded and what was not.
        provenance: What the file says of the videos that its weights have seen; None where it says nothing.
    """

    said: str
    provenance: dict[str, Any] | None


def load_weights(network: nn.Module, classifier: str, path: Path, *, name: str, published: str) -> Loaded:
    """Begin with the weights of a file.

    Tables of positions that were trained for another picture size are interpolated. A classifier of another number of
    classes keeps its random weights.

    Args:
        network: Network that receives them.
        classifier: Name of its last layer.
        path: File with a state dict, as PyTorch saves it.
        name: Architecture, for messages.
        published: Address of its published weights, for messages.

    Returns:
        What was loaded; from a checkpoint of a fit here, also what that has seen.

    Raises:
        UserError: If there is no such file, it holds no weights, or those of another network.
    """
    held, provenance = _read(path, name, published)
    mine = network.state_dict()
    head = [f"{classifier}.weight", f"{classifier}.bias"]
    replaced = [key for key in head if key in held and held[key].shape != mine[key].shape]
    fitting = {
        key: _resampled(key, value, mine[key].shape) if key in mine else value
        for key, value in held.items()
        if not (replaced and key in head)
    }
    # Files older than this counter lack it; it matters only where batch normalisation has no momentum.
    wanted = [key for key in mine if not (replaced and key in head) and not key.endswith("num_batches_tracked")]
    wrong = [
        *(f"{key} is not in the file" for key in wanted if key not in fitting),
        *(f"{key} is not in the network" for key in fitting if key not in mine),
        *(
            f"{key} is {tuple(value.shape)} in the file and {tuple(mine[key].shape)} in the network"
            for key, value in fitting.items()
            if key in mine and value.shape != mine[key].shape
        ),
    ]
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise UserError(
            f"model.weights {path} does not fit {name}: {'; '.join(wrong[:_SHOWN])}{more}. "
            f"The published weights of {name} lie at {published}"
        )
    network.load_state_dict(fitting, strict=False)
    if not replaced:
        return Loaded(f"{path}: all weights of {name} loaded", provenance)
    said = (
        f"{path}: weights of {name} loaded, except {classifier}, which has "
        f"{counted(len(held[head[0]]), 'class')} there and "
        f"{len(mine[head[0]])} here and keeps its random weights"
    )
    return Loaded(said, provenance)


def _read(path: Path, name: str, published: str) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    if not path.is_file():
        raise UserError(
            f"model.weights is {path}, and there is no such file. Nothing is downloaded: fetch the published weights "
            f"of {name} from {published} and name the file here, or leave model.weights at null, "
            "also where a checkpoint holds the weights"
        )
    try:
        held: Any = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # whatever torch's reader makes of bytes that are no weights
        raise UserError(f"model.weights {path} holds no weights, or is damaged; give a PyTorch state dict") from error
    seen = held.get("provenance") if isinstance(held, dict) else None
    provenance = seen if isinstance(seen, dict) else None
    for wrapper in _WRAPPERS:
        if isinstance(held, dict) and isinstance(held.get(wrapper), dict):
            held = held[wrapper]
    if not isinstance(held, dict) or not held or not all(isinstance(value, Tensor) for value in held.values()):
        raise UserError(f"model.weights {path} holds something other than weights; give a PyTorch state dict")
    if all(key.startswith(_PREFIX) for key in held):  # of a checkpoint of a fit here
        held = {key.removeprefix(_PREFIX): value for key, value in held.items()}
    return held, provenance


def _resampled(key: str, table: Tensor, shape: torch.Size) -> Tensor:
    """A table of positions for another picture size; anything else as it is."""
    if table.shape == shape or table.ndim != len(shape):
        return table
    if key.endswith("pos_embed_spatial"):  # (1, side * side, C)
        old, new = (math.isqrt(count) for count in (table.shape[1], shape[1]))
        if old**2 == table.shape[1] and new**2 == shape[1]:
            grid = table.float().reshape(1, old, old, -1).permute(0, 3, 1, 2)
            return F.interpolate(grid, (new, new), mode="bicubic", align_corners=False).flatten(2).mT
    if key.endswith("pos_embed_temporal"):  # (1, T, C)
        return F.interpolate(table.float().mT, shape[1], mode="linear", align_corners=False).mT
    return table
