"""Rows of a ledger from what a test sees. Letters: B clips, K classes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from benchmark.clip import ClipBatch, VideoBatch
from benchmark.errors import UserError
from benchmark.metrics.hit import ranks
from benchmark.metrics.video_scores import video_scores
from benchmark.results.ledger import LedgerInfo

NO_NUMBERS = "the model's scores for it are not all finite numbers"


def ledger_info(data: Any) -> LedgerInfo:
    """What a data module says of its test videos."""
    index = data.index
    return LedgerInfo(
        **vars(index.identity),
        fingerprint=index.fingerprint,
        held_videos=len(index.rows("test")),
        official_videos=len(index.rows("test")) + len(index.missing("test")) if index.official_videos else None,
        class_names=tuple(index.class_names),
        class_groups=index.class_groups,
        protocol=data.test_protocol,
    )


def require_probabilities(outputs: object) -> Tensor:
    """What a network's `test_step` gave, if it is class probabilities (B, K).

    Raises:
        UserError: If it is no tensor, or rows do not add up to 1. NaN passes; the video it belongs to counts as failed.
    """
    if not isinstance(outputs, Tensor):
        raise UserError(f"test_step must return class probabilities (B, K), not a {type(outputs).__name__}")
    if len(outputs) and not torch.allclose(outputs.sum(1), torch.ones(()).to(outputs), atol=1e-2):
        if outputs.isfinite().all():
            raise UserError("test_step must return class probabilities (B, K); these do not add up to 1")
    return outputs


def ledger_rows(
    outputs: Tensor, batch: ClipBatch | VideoBatch, table: pa.Table, *, keep_clips: bool
) -> Iterator[dict[str, Any]]:
    """One row a video of a batch, in its failures' order and then that of its first clip.

    Args:
        outputs: Class probabilities (B, K).
        batch: The clips; it holds all clips of each of its videos.
        table: Of the index that the batch's rows count in.
        keep_clips: Whether each row gets what was said of its clips.
    """
    outputs = outputs.float()

    def row(number: int, **rest: Any) -> dict[str, Any]:
        names = ("video_id", "labels", "source_group")
        return {"row": number, **{name: table[name][number].as_py() for name in names}, **rest}

    for failure in batch.failures:
        yield row(failure.row, status="failed", reason=failure.reason)
    if not len(batch):
        return
    scores, numbers, _ = video_scores(outputs, batch.rows)
    if isinstance(batch, VideoBatch):  # whole videos have no clips
        rank, owner, clips, starts = np.empty((4, 0), np.int64)
    else:
        rank = ranks(outputs, batch.labels).cpu().numpy()
        owner, clips, starts = (part.cpu().numpy() for part in (batch.rows, batch.clips, batch.starts))
    for number, score in zip(numbers.tolist(), scores.cpu().numpy(), strict=True):
        places = np.flatnonzero(owner == number)
        places = places[np.argsort(clips[places])]
        if not np.isfinite(score).all():
            yield row(number, status="failed", reason=NO_NUMBERS)
            continue
        own = dict(scores=score.tolist(), clip_starts=starts[places].tolist(), clip_ranks=rank[places].tolist())
        kept = {"clip_scores": outputs[places].flatten().cpu().numpy()} if keep_clips else {}
        yield row(number, status="scored", **own, **kept)
