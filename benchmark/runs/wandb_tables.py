"""Mirrors a finished test into its W&B run: tables, config, and record and ledger as an artifact; offline runs too."""

import math
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import PIL.Image
import wandb
from lightning.pytorch.loggers import WandbLogger

from benchmark.extras import why_missing
from benchmark.figures.choice import Frames
from benchmark.metrics.arrays import average_precision
from benchmark.results import wandb_names
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import Ledger
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import Record
from benchmark.results.scores import confusions, decoded_only
from benchmark.runs.result_writer import ResultWriter

SAMPLE_VIDEOS = 100
_WRONG_SHARE = 0.7
_TOP = 3
_MOST_FAILED = 1000

# More classes than UCF-101's leave no room for a label in the plot of the confusion matrix.
_MOST_PLOTTED_CLASSES = 110

Rows = list[list[Any]]


class WandbTables(L.Callback):
    """Logs a finished test to the run of each `WandbLogger`; the local files stay the truth, W&B is a mirror.

    Args:
        writer: Has the record, the ledger and the folder of both files.
    """

    def __init__(self, writer: ResultWriter) -> None:
        self.writer = writer

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log; what W&B refuses is named in a warning, as the test is finished and its files are written."""
        record, ledger = self.writer.record, self.writer.ledger
        if not trainer.is_global_zero or record is None or ledger is None:
            return
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                frames = trainer.datamodule.shown_frames  # type: ignore[attr-defined]
                self._mirror(logger, record, ledger, lambda: self._pictures(trainer, pl_module, record, ledger), frames)

    def _mirror(
        self,
        logger: WandbLogger,
        record: Record,
        ledger: Ledger,
        pictures: Callable[[], dict[str, wandb.Image]],
        frames: Frames,
    ) -> None:
        parts: dict[str, Callable[[Any], object]] = {
            "the config": lambda run: run.config.update(run_config(record), allow_val_change=True),
            "clips per second": lambda run: run.log(throughput(record)),
            "the confusion matrix": lambda run: run.log(confusion_table(ledger)),
            "average precision by class": lambda run: run.log(
                {wandb_names.CLASS_AP: wandb.Table(["class", "group", "AP", "positives"], class_ap_rows(ledger))}
            ),
            "sample predictions": lambda run: run.log({wandb_names.PREDICTIONS: prediction_table(ledger, frames)}),
            "failed videos": lambda run: run.log(failed_table(ledger)),
            "record and ledger": lambda run: run.log_artifact(self._artifact(record)),
        }
        if why_missing("matplotlib") is None:
            parts["pictures"] = lambda run: run.log(pictures())
        for name, log in parts.items():
            try:
                log(logger.experiment)
            except Exception as error:  # wandb's own errors, its service's and the network's share no base class
                warnings.warn(f"W&B did not take {name} of the test ({type(error).__name__}: {error})", stacklevel=2)

    def _pictures(
        self, trainer: L.Trainer, module: L.LightningModule, record: Record, ledger: Ledger
    ) -> dict[str, wandb.Image]:
        """Small ones: filters of the first layer, a few predictions, confusions."""
        from benchmark.runs.pictures import draw_test  # imports matplotlib, which not everybody has

        data = trainer.datamodule  # type: ignore[attr-defined]
        images = {}
        with tempfile.TemporaryDirectory() as folder:
            for picture in draw_test(Path(folder), record.name, ledger, data, module.state_dict()).pictures:
                kind = picture.file.partition("-")[0]
                with PIL.Image.open(Path(folder) / picture.file) as image:  # a moving one would not move there
                    shown = wandb.Image(image.convert("RGB"), caption=picture.caption)
                images[f"{wandb_names.PICTURES}{kind}"] = shown
        return images

    def _artifact(self, record: Record) -> wandb.Artifact:
        artifact = wandb.Artifact(
            f"evaluation-{record.ledger.sha256[:16]}",
            type=wandb_names.ARTIFACT_TYPE,
            description=record.name,
            metadata={"ledger_sha256": record.ledger.sha256, "protocol_hash": record.protocol_hash},
        )
        for name in (RECORD_NAME, LEDGER_NAME):
            artifact.add_file(str(self.writer.folder / name), name=name)
        return artifact


def run_config(record: Record) -> dict[str, Any]:
    """What a run's config says of its test: the board it belongs to, and the whole configuration under `options`.

    A test of a part of the videos belongs to no board.
    """
    whole = record.videos == record.dataset.held_videos
    return {
        wandb_names.BOARD: wandb_names.board_key(*record.board) if whole else None,
        "entry": record.name,
        **vars(record.identity),
        "protocol": record.protocol.model_dump(mode="json"),
        "protocol_hash": record.protocol_hash,
        "provenance": record.checkpoint.provenance,
        "parameters": record.model.parameters,
        "gflop_per_clip": record.model.gflop_per_clip,
        "precision": record.precision,
        "options": record.config,
    }


def throughput(record: Record) -> dict[str, float]:
    """Clips a second of the test, where they were measured."""
    value = record.throughput.clips_per_second
    return {} if value is None else {wandb_names.CLIPS_PER_SECOND: value}


def confusion_rows(ledger: Ledger) -> Rows:
    """True class, best-scored class and number of videos, most frequent first; only pairs that occur."""
    counts, names = confusions(ledger), ledger.info.class_names
    true, predicted = np.nonzero(counts)
    number = counts[true, predicted]
    order = np.argsort(-number, kind="stable")
    return [[names[true[i]], names[predicted[i]], int(number[i])] for i in order]


def confusion_table(ledger: Ledger) -> dict[str, Any]:
    """The confusion matrix as a table, with a plot of it where the classes are few enough to be read."""
    table = wandb.Table(["true", "predicted", "count"], confusion_rows(ledger))
    if len(ledger.info.class_names) > _MOST_PLOTTED_CLASSES:
        return {f"{wandb_names.CONFUSION}_table": table}  # the name under which a plot leaves its table, too
    fields = {"Actual": "true", "Predicted": "predicted", "nPredictions": "count"}
    return {wandb_names.CONFUSION: wandb.plot_table("wandb/confusion_matrix/v1", table, fields)}


def class_ap_rows(ledger: Ledger) -> Rows:
    """Class, group, average precision (failed videos rank last) and number of positives; None where there is none."""
    labels = ledger.labels
    labelled = labels.any(1)
    areas = average_precision(ledger.scores[labelled], labels[labelled])
    groups = ledger.info.class_groups or [None] * len(areas)
    return [
        [name, group, None if math.isnan(area) else float(area), int(positives)]
        for name, group, area, positives in zip(
            ledger.info.class_names, groups, areas, labels[labelled].sum(0), strict=True
        )
    ]


def prediction_columns() -> list[str | int]:
    """Columns of `prediction_rows`."""
    ranked = [name for k in range(1, _TOP + 1) for name in (f"predicted {k}", f"probability {k}")]
    return ["video", "true", *ranked, "correct"]


def prediction_table(ledger: Ledger, frames: Frames) -> wandb.Table:
    """`prediction_rows`, with each video as a strip of frames where they can be read."""
    columns, rows = prediction_columns(), prediction_rows(ledger)
    strips = [_strip(frames, row[0]) for row in rows]
    return wandb.Table([*columns, "frames"], [[*row, strip] for row, strip in zip(rows, strips, strict=True)])


def _strip(frames: Frames, video: str) -> wandb.Image | None:
    try:
        shown = frames(video)
    except Exception:  # of a decoder; the numbers are no worse for it
        return None
    return None if shown is None else wandb.Image(np.concatenate(shown, 1), file_type="jpg")


def prediction_rows(ledger: Ledger, limit: int = SAMPLE_VIDEOS) -> Rows:
    """A sample of the decoded videos with a label: the most confident wrong ones, then right ones of all confidences.

    Args:
        ledger: The predictions.
        limit: Rows at most. The wrong ones get up to 7 of 10, and more where the right ones do not fill the rest.
    """
    part = decoded_only(ledger)
    part = part.select(np.flatnonzero(part.labels.any(1)))
    if not len(part):
        return []
    labels, scores, ids, names = part.labels, part.scores, part.video_ids, part.info.class_names
    correct = labels[np.arange(len(part)), scores.argmax(1)]
    ranked = np.argsort(-scores.max(1), kind="stable")
    wrong, right = ranked[~correct[ranked]], ranked[correct[ranked]]
    number_wrong = min(len(wrong), max(round(limit * _WRONG_SHARE), limit - len(right)))
    spread = np.linspace(0, len(right) - 1, min(len(right), limit - number_wrong)).round().astype(np.int64)
    missing = [None, None] * (_TOP - len(names))
    sample = []
    for row in [*wrong[:number_wrong], *right[spread]]:
        best = np.argsort(-scores[row], kind="stable")[:_TOP]
        cells = [cell for number in best for cell in (names[number], float(scores[row, number]))]
        true = ", ".join(names[number] for number in np.flatnonzero(labels[row]))
        sample.append([ids[row], true, *cells, *missing, bool(correct[row])])
    return sample


def failed_table(ledger: Ledger) -> dict[str, Any]:
    """The first 1,000 videos that could not be read, and why; nothing if none failed."""
    rows = [[name, reason] for name, reason in ledger.failures().items()][:_MOST_FAILED]
    return {wandb_names.FAILED: wandb.Table(["video", "reason"], rows)} if rows else {}
