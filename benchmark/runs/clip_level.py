"""What a test keeps of single clips, and of the validation videos that anything may be chosen on."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from benchmark.clip import ClipBatch
from benchmark.errors import UserError
from benchmark.results.clip_scores import MOST_VALUES, ClipScores, Said, Split
from benchmark.wording import counted

MOST_BYTES = 10**9
"""Of scores of clips, up to which they are kept without being asked for."""


def are_kept(choice: bool | None, data: Any) -> bool:
    """Whether a test keeps the scores of its clips.

    Args:
        choice: What was asked for; None keeps them where they take 10^9 bytes or less, before they are compressed.
        data: A `VideoDataModule`.
    """
    protocols = {"test": data.test_protocol, "validation": data.validation_protocol}
    clips = sum(len(data.index.rows(split)) * protocol.clips_per_video for split, protocol in protocols.items())
    return 4 * clips * len(data.class_names) <= MOST_BYTES if choice is None else choice


def require_room(videos: Mapping[Split, int], data: Any) -> None:
    """Refuse to keep more than one file can hold, before anything is scored.

    Args:
        videos: How many of each split are scored.
        data: A `VideoDataModule`.

    Raises:
        UserError: With the numbers, if a split has more than 2^31 - 1 class probabilities of clips.
    """
    classes, protocols = len(data.class_names), {"test": data.test_protocol, "validation": data.validation_protocol}
    for split, count in videos.items():
        clips = protocols[split].clips_per_video
        if count * clips * classes > MOST_VALUES:
            raise UserError(
                f"--keep_clips is true, and {count:,} {split} videos of {clips} clips and {classes:,} classes have "
                f"{count * clips * classes:,} scores; a file holds up to {MOST_VALUES:,}. Leave --keep_clips out, or "
                "score fewer videos, as with --sample.videos"
            )


def settled(rows: np.ndarray, done: Sequence[int], processes: int) -> list[int]:
    """Rows of a test that goes on which need not be scored again; of those left, every process has to have one.

    Args:
        rows: All that are to be scored.
        done: Those that were.
        processes: Processes that share the rest.
    """
    again = max(0, processes - (len(rows) - len(done)))
    return list(done[: max(0, len(done) - again)])


def validation_outputs(trainer: L.Trainer, network: Any) -> Iterator[tuple[Tensor, ClipBatch]]:
    """Class probabilities (B, K) of the validation videos that are not scored yet, as the weights that are tested say.

    They are few where the test videos are many, and are seen in one view, so that this takes little beside a test.
    """
    data = trainer.datamodule  # type: ignore[attr-defined]
    left = np.setdiff1d(data.index.rows("validation"), list(data.scored_rows))
    if len(left) < trainer.world_size:
        if len(left) and trainer.is_global_zero:
            print(
                f"{counted(len(left), 'validation video is', 'validation videos are')} too few for "
                f"{trainer.world_size} processes to share, and "
                f"{'is' if len(left) == 1 else 'are'} not scored; test with fewer devices to keep the scores",
                flush=True,
            )
        return
    if trainer.is_global_zero:
        videos = counted(len(left), "validation video")
        print(f"scoring {videos} in one view too, for whatever is chosen on them", flush=True)
    for number, batch in enumerate(data.val_dataloader()):
        there = data.transfer_batch_to_device(batch, network.device, 0)
        with trainer.precision_plugin.forward_context():
            yield network.test_step(there, number), there


def clip_scores(rows: dict[Split, pa.Table], class_names: tuple[str, ...]) -> ClipScores:
    """From the rows of a test's parts, of each split those that could be read."""
    return ClipScores.of(class_names, {split: _said(table, len(class_names)) for split, table in rows.items()})


def _said(table: pa.Table, classes: int) -> Said:
    part = table.filter(pc.equal(table["status"], "scored")).combine_chunks()
    labels = np.zeros((len(part), classes), bool)
    for row, numbers in enumerate(part["labels"].to_pylist()):
        labels[row, numbers] = True
    values = pc.list_flatten(part["clip_scores"]).to_numpy()
    clips = len(values) // (len(part) * classes) if len(part) else 0
    return Said(part["video_id"].to_pylist(), labels, values.reshape(len(part), clips, classes))
