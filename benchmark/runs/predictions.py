"""Writes what a model thinks of each video as a table."""

from collections.abc import Sequence
from pathlib import Path

import lightning as L
import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet
from torch import Tensor

from benchmark.clip import ClipBatch, FeatureBatch, VideoBatch
from benchmark.data.found import listed
from benchmark.errors import UserError
from benchmark.extras import require_extra
from benchmark.files import whole
from benchmark.metrics.video_scores import video_scores
from benchmark.results.csv_cells import plain_cell
from benchmark.runs.processes import of_all
from benchmark.wording import counted, say

Batch = ClipBatch | FeatureBatch | VideoBatch

Row = tuple[int, str | None, np.ndarray | None]
"""Number of a video in the index, why it could not be read, and its class probabilities (K,)."""


def said_of_videos(outputs: Tensor, batch: Batch) -> list[Row]:
    """One row for each video of a batch: the mean of its clips' class probabilities, outputs (B, K), or its failure."""
    rows: list[Row] = [(failure.row, failure.reason, None) for failure in batch.failures]
    if len(batch):
        scores, numbers, _ = video_scores(outputs, batch.rows)
        rows += [(number, None, score) for number, score in zip(numbers.tolist(), scores.cpu().numpy(), strict=True)]
    return rows


def of_all_processes(rows: list[Row], trainer: L.Trainer) -> list[Row]:
    """The rows of all processes in the order of the index; each of them must call this."""
    return sorted((row for part in of_all(rows, trainer) for row in part), key=lambda row: row[0])


class PredictedVideos(L.Callback):
    """Gathers what a network says of each video, or why it could not be read.

    Args:
        top: Classes a video in `table`; None is all of them.
    """

    def __init__(self, top: int | None) -> None:
        self.top = top
        self.rows: list[Row] = []
        self.table: pa.Table | None = None

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Tensor,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note the mean of each video's clip probabilities, outputs (B, K)."""
        self.rows += said_of_videos(outputs, batch)

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Gather the videos of all processes, in the order of the index; `table` is the first process's."""
        self.rows = rows = of_all_processes(self.rows, trainer)
        if not trainer.is_global_zero:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        held = data.index.table.take(pa.array([number for number, _, _ in rows], pa.int64()))
        self.table = prediction_table(
            held["video_id"].to_pylist(),
            [[data.class_names[label] for label in labels] for labels in held["labels"].to_pylist()],
            [reason for _, reason, _ in rows],
            [score for _, _, score in rows],
            data.class_names,
            len(data.class_names) if self.top is None else self.top,
        )


class PredictionTable(PredictedVideos):
    """Writes each video's true classes, if any are known, its top ones with probabilities, and why it was not read.

    Args:
        output: File to write; `.csv` or `.parquet`.
        top: Classes a video.
        figure: Picture to draw of the videos, `.png`, or None.

    Raises:
        UserError: If a file is of another kind or a folder, or `top` is below 1, or there is nothing to draw with.
    """

    def __init__(self, output: Path, top: int = 5, figure: Path | None = None) -> None:
        if output.suffix not in {".csv", ".parquet"}:
            raise UserError(f"--predict.output is {output}; it must end in .csv or .parquet")
        if top < 1:
            raise UserError(f"--predict.top is {top}; it must be 1 or more")
        if output.is_dir():
            raise UserError(f"--predict.output is {output}, which is a folder; name a file in it")
        if figure is not None:
            require_extra("matplotlib", "--figure")
            if figure.suffix != ".png" or figure.is_dir():
                raise UserError(f"--figure is {figure}; it must name a file that ends in .png")
        super().__init__(top)
        self.output, self.figure = output, figure

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the table, in the order of the index, and name what could not be read.

        Raises:
            UserError: If that was every video; there is no table then.
        """
        super().on_predict_end(trainer, pl_module)
        names = trainer.datamodule.index.table["video_id"]  # type: ignore[attr-defined]
        unread = [f"{names[row]} ({reason})" for row, reason, _ in self.rows if reason is not None]
        if unread and len(unread) == len(self.rows):  # the same in every process, so that all of them stop
            raise UserError(
                f"{counted(len(unread), 'video was', 'videos were')} to be predicted, and none could be read: "
                f"{listed(unread)}; give others by --predict.videos"
            )
        if self.table is None:  # another process writes it
            return
        self._write(self.table)
        said = f"; {len(unread)} could not be read: {listed(unread)}" if unread else ""
        say(f"wrote {self.output}: {counted(len(self.table), 'video')}{said}")
        if self.figure is not None:
            from benchmark.runs.pictures import draw_predictions  # imports matplotlib, which not everybody has

            data = trainer.datamodule  # type: ignore[attr-defined]
            print(draw_predictions(self.rows, data, self.top or 1, self.figure))

    def _write(self, table: pa.Table) -> None:
        """Write the whole file, or none."""
        try:
            with whole(self.output) as unfinished:
                if self.output.suffix == ".csv":
                    csv.write_csv(_for_spreadsheets(table), unfinished)
                else:
                    parquet.write_table(table, unfinished)
        except OSError as error:
            raise UserError(f"--predict.output {self.output} cannot be written: {error}; make room") from error


def _for_spreadsheets(table: pa.Table) -> pa.Table:
    """The table with no text that a spreadsheet would take for a formula."""
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            cells = [plain_cell(cell) for cell in table[field.name].to_pylist()]
            table = table.set_column(place, field, pa.array(cells, field.type))
    return table


def prediction_table(
    names: list[str],
    truth: Sequence[Sequence[str]],
    failed: list[str | None],
    scores: list[np.ndarray | None],
    class_names: tuple[str, ...],
    top: int,
) -> pa.Table:
    """One row a video: `video`, `true` where anything is known of any, `class_1`, `probability_1`, ..., `failed`.

    Args:
        names: N names of videos.
        truth: N lists of true classes, empty where they are not known; of several, `true` joins the names by a comma.
        failed: N reasons, None for a video that was read.
        scores: N probabilities of all classes, (K,), None for a video that failed.
        class_names: K names.
        top: Classes a video, at most K are given.
    """
    columns: dict[str, list[object]] = {"video": list(names)}
    if any(truth):
        columns["true"] = [", ".join(held) or None for held in truth]
    best = [None if score is None else np.argsort(-score, kind="stable") for score in scores]
    for place in range(min(top, len(class_names))):
        columns[f"class_{place + 1}"] = [None if order is None else class_names[order[place]] for order in best]
        columns[f"probability_{place + 1}"] = [
            None if order is None or score is None else float(score[order[place]])
            for order, score in zip(best, scores, strict=True)
        ]
    text = [pa.field(name, pa.float64() if name.startswith("probability") else pa.string()) for name in columns]
    schema = pa.schema([*text, pa.field("failed", pa.string())])
    return pa.table({**columns, "failed": failed}, schema=schema)
