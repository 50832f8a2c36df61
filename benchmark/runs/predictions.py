"""Writes what a model thinks of each video as a table."""

from pathlib import Path

import lightning as L
import numpy as np
import pyarrow as pa
import torch.distributed
from pyarrow import csv, parquet
from torch import Tensor

from benchmark.clip import ClipBatch
from benchmark.errors import UserError
from benchmark.extras import require_extra
from benchmark.files import whole
from benchmark.metrics.video_scores import video_scores
from benchmark.results.csv_cells import plain_cell

Row = tuple[int, str | None, np.ndarray | None]


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
        batch: ClipBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note the mean of each video's clip probabilities, outputs (B, K)."""
        if len(batch):
            scores, rows, _ = video_scores(outputs, batch.rows)
            self.rows += [
                (int(row), None, score.cpu().numpy()) for row, score in zip(rows.tolist(), scores, strict=True)
            ]
        self.rows += [(failure.row, failure.reason, None) for failure in batch.failures]

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Gather the videos of all processes, in the order of the index; `table` is the first process's."""
        parts: list[list[Row]] = [self.rows]
        if trainer.world_size > 1:
            parts = [[] for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(parts, self.rows)
        if not trainer.is_global_zero:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        self.rows = sorted((row for part in parts for row in part), key=lambda row: row[0])
        self.table = prediction_table(
            [data.index.table["video_id"][number].as_py() for number, _, _ in self.rows],
            [reason for _, reason, _ in self.rows],
            [score for _, _, score in self.rows],
            data.class_names,
            len(data.class_names) if self.top is None else self.top,
        )


class PredictionTable(PredictedVideos):
    """Writes the top classes of each video with their probabilities, and a reason where it could not be read.

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
        """Write the table, in the order of the index."""
        super().on_predict_end(trainer, pl_module)
        if self.table is None:  # another process writes it
            return
        self._write(self.table)
        failed = len(self.table) - self.table["failed"].null_count
        print(f"wrote {self.output}: {len(self.table)} videos, {failed} of them could not be read", flush=True)
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
    failed: list[str | None],
    scores: list[np.ndarray | None],
    class_names: tuple[str, ...],
    top: int,
) -> pa.Table:
    """One row a video: `video`, `class_1`, `probability_1`, `class_2`, ..., `failed`.

    Args:
        names: N names of videos.
        failed: N reasons, None for a video that was read.
        scores: N probabilities of all classes, (K,), None for a video that failed.
        class_names: K names.
        top: Classes a video, at most K are given.
    """
    columns: dict[str, list[object]] = {"video": list(names)}
    best = [None if score is None else np.argsort(-score, kind="stable") for score in scores]
    for place in range(min(top, len(class_names))):
        columns[f"class_{place + 1}"] = [None if order is None else class_names[order[place]] for order in best]
        columns[f"probability_{place + 1}"] = [
            None if order is None or score is None else float(score[order[place]])
            for order, score in zip(best, scores, strict=True)
        ]
    text = [pa.field(name, pa.string() if name == "video" or "class" in name else pa.float64()) for name in columns]
    schema = pa.schema([*text, pa.field("failed", pa.string())])
    return pa.table({**columns, "failed": failed}, schema=schema)
