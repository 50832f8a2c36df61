"""One checkpoint for an average of several: their weights, and the union of what they have seen."""

from pathlib import Path
from typing import Any

import lightning as L
import torch

from benchmark.files import whole
from benchmark.models.average import Average, packed, read_parts, stored_members
from benchmark.models.stored import read_checkpoint
from benchmark.models.video_classifier import VideoClassifier
from benchmark.plugins import load_class
from benchmark.results.record import Average as AverageFacts
from benchmark.results.record import Member
from benchmark.runs.facts import network_title
from benchmark.runs.provenance import union_of

FILE_NAME = "average.ckpt"


def is_average(class_path: str) -> bool:
    """Whether a model averages others."""
    found = load_class(class_path, VideoClassifier)
    return isinstance(found, type) and issubclass(found, Average)


def write_average(options: dict[str, Any], folder: Path) -> str:
    """Write the checkpoint of an average, with which it is tested, moved and tested again as any network.

    The same members always give the same bytes, so that a test that goes on finds the checkpoint that it began with.

    Args:
        options: Of the model, as configured.
        folder: Where it is written.

    Returns:
        Path of the file.
    """
    paths = [Path(path) for path in options["checkpoints"]]
    held = {
        **packed(read_parts(paths, options.get("weights"))),
        "provenance": union_of([read_checkpoint(str(path), "--model.checkpoints") for path in paths]),
        "pytorch-lightning_version": L.__version__,
    }
    # Of several processes each writes it; all write the same.
    with whole(folder / FILE_NAME, shared=True) as unfinished, unfinished.open("wb") as file:
        torch.save(held, file)
    return str(folder / FILE_NAME)


def average_facts(checkpoint: dict[str, Any]) -> AverageFacts | None:
    """What a record says of the members of an average's checkpoint; None for another one."""
    members = stored_members(checkpoint, "the checkpoint")
    if members is None:
        return None
    shares = [member["share"] for member in members]
    return AverageFacts(
        members=tuple(
            Member(
                name=network_title(member["shape"]["class"], member["shape"]),
                checkpoint_sha256=member["sha256"],
                ledger_sha256=None,
                weight=member["share"],
            )
            for member in members
        ),
        weights="equal" if len(set(shares)) == 1 else "given",
    )
