"""What the scores of single clips say: accuracy against clips, and calibration of clips, videos and validation."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.commands.text import aligned, cells, number
from benchmark.errors import UserError
from benchmark.results.calibration import brier, reliability
from benchmark.results.clip_scores import ClipScores, clips_beside, first_clips
from benchmark.results.ledger import Ledger
from benchmark.results.record import FILE_NAME, Record
from benchmark.results.summary import summarise
from benchmark.wording import counted

_COUNTS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)


def require_clips(path: Path, ledger: Ledger, option: str) -> ClipScores:
    """What a ledger's clips were said to be.

    Raises:
        UserError: If they were not kept, or are not those of the ledger.
    """
    clips = clips_beside(path, ledger)
    if clips is None:
        raise UserError(
            f"{option} needs what was said of single clips, and there is none beside {path}: older tests did not keep "
            "it, nor do those with --keep_clips false; test again"
        )
    return clips


def curve(path: Path, ledger: Ledger, clips: ClipScores) -> tuple[str, list[dict[str, Any]]]:
    """Scores and cost of tests with fewer clips a video, as a table and as plain values."""
    whole, views = ledger.info.protocol.clips_per_video, len(ledger.info.protocol.views)
    record = Record.read(path.parent) if (path.parent / FILE_NAME).is_file() else None
    gflop = None if record is None else record.model.gflop_per_clip
    speed = None if record is None else record.throughput.clips_per_second
    rows, values = [], []
    for count in sorted({*(n for n in _COUNTS if n < whole), whole}):
        metrics, _ = summarise(first_clips(ledger, clips, count))
        cost = None if gflop is None else gflop * count * views
        seconds = None if not speed else count / speed
        shown = [*cells("video_hit1", metrics["video_hit1"]), number("map", metrics["map"].value)]
        rows.append([str(count), *shown, _cost(cost), _cost(seconds)])
        values.append(
            {
                "clips_per_video": count,
                "metrics": {name: value.model_dump() for name, value in metrics.items()},
                "gflop_per_video": cost,
                "seconds_per_video": seconds,
            }
        )
    header = ["clips a video", "video Hit@1", "95% interval", "mAP", "GFLOP a video", "s a video"]
    return (
        f"\n{aligned(header, rows)}\nfailed videos count as wrong; each clip is seen in {counted(views, 'view')}",
        values,
    )


def _cost(value: float | None) -> str:
    return "-" if value is None else format(value, ",.0f" if value >= 100 else ".3g")


def calibration(ledger: Ledger, clips: ClipScores | None) -> tuple[str, dict[str, Any]]:
    """How far probabilities can be believed, of videos, and where they were kept of clips and of validation videos."""
    rows = np.flatnonzero(ledger.scored & ledger.labels.any(1))
    parts = {"videos": (ledger.scores[rows], ledger.labels[rows])}
    if clips is not None:
        said = clips.said("test")
        held = said.labels.any(1)
        truth = np.repeat(said.labels[held], said.scores.shape[1], 0)
        parts["clips"] = said.scores[held].reshape(len(truth), -1), truth
        chosen_on = clips.said("validation")
        labelled = chosen_on.labels.any(1)
        if labelled.any():
            parts["validation videos"] = chosen_on.video_scores[labelled], chosen_on.labels[labelled]
    lines, values = [], dict[str, Any]()
    for name, (scores, labels) in parts.items():
        if not len(scores):
            continue
        score, bins = brier(scores, labels), reliability(scores, labels)
        values[name] = {"brier": score, "reliability": [dataclasses.asdict(each) for each in bins]}
        table = [
            [f"{each.low:.1f} to {each.high:.1f}", f"{each.count:,}", f"{each.confidence:.1%}", f"{each.accuracy:.1%}"]
            for each in bins
        ]
        lines.append(f"\n{name}: Brier score {score:.3f} (0 to 2, lower is better)")
        lines.append(aligned(["probability of the best class", name, "mean of it", "right"], table))
    if clips is None:
        lines.append("\nclips and validation videos: not kept by this test")
    return "\n".join(lines), values
