"""Leaves what a run has to show as one page, `report.html`, that needs no network."""

import csv
import tempfile
import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np

from benchmark.errors import UserError
from benchmark.extras import why_missing
from benchmark.figures.choice import Frames
from benchmark.files import whole
from benchmark.metrics.descriptors import says_nothing, score_of
from benchmark.models.stored import read_checkpoint
from benchmark.pages.html import write_html
from benchmark.pages.sections import Section
from benchmark.pages.tables import UNKNOWN, TextTable
from benchmark.results.curves import Curves, read_curves
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import Ledger
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import Record, Value
from benchmark.results.summary import summarise
from benchmark.runs.best_validation import FILE_NAME as VALIDATION_NAME
from benchmark.wording import counted

FILE_NAME = "report.html"
CURVES_NAME = "curves.csv"

_VIDEOS = 6


class RunReport(L.Callback):
    """Writes the report when a fit or a test ends, and prints where it is.

    Args:
        folder: Of the run.
        opens: Whether a browser is asked to show it.
    """

    def __init__(self, folder: Path, *, opens: bool = False) -> None:
        self.folder, self.opens = folder, opens

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write it."""
        self._write(trainer)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write it, with what a fit has left in the same folder."""
        self._write(trainer)

    def _write(self, trainer: L.Trainer) -> None:
        if not trainer.is_global_zero:
            return
        try:
            path = write_report(self.folder, trainer.datamodule.shown_frames)  # type: ignore[attr-defined]
        except Exception as error:  # the run is finished, and its numbers are written
            print(f"no {FILE_NAME}: {_reason(error)}", flush=True)
            return
        print(f"report: {path}", flush=True)
        if self.opens:
            webbrowser.open(path.absolute().as_uri())


def write_report(folder: Path, frames: Frames) -> Path:
    """Write `report.html`, and `curves.csv` where there was a fit, from what is in a run's folder.

    Args:
        folder: Of the run.
        frames: Frames of a video by its name, (N, S, S, 3) uint8; None where they cannot be read.
    """
    with tempfile.TemporaryDirectory() as scratch:
        sections = _Parts(folder, Path(scratch), frames).sections()
        config = next((path for name in ("config.yaml", "config_test.yaml") if (path := folder / name).exists()), None)
        text = "" if config is None else config.read_text("utf-8")
        about = "Not there." if config is None else f"{config.name}: everything, resolved."
        sections.append(Section("Configuration", about, text=text))
        path = folder / FILE_NAME
        lead = "What this run has left in its folder. Intervals are of 95%, over the sources of the videos."
        write_html(path, Path(scratch), title=folder.absolute().name, lead=lead, sections=sections)
    return path


class _Parts:
    """The sections of a report, each from whatever files there are."""

    def __init__(self, folder: Path, pictures: Path, frames: Frames) -> None:
        self.folder, self.frames = folder, _forgiving(frames)
        self.gallery: Any = None
        if (reason := why_missing("matplotlib")) is None:
            from benchmark.figures.gallery import Gallery  # imports matplotlib, which not everybody has

            self.gallery = Gallery(pictures, videos=_VIDEOS)
        self.why_no_pictures = f"Pictures: matplotlib {reason}"

    def sections(self) -> list[Section]:
        """All that there are."""
        found = []
        if (self.folder / RECORD_NAME).exists() and (self.folder / LEDGER_NAME).exists():
            found.append(self._test())
        if (self.folder / "checkpoints").is_dir():  # of a fit
            found += [self._training(), self._validation(), self._filters()]
        return found

    def _test(self) -> Section:
        record, ledger = Record.read(self.folder), Ledger.read(self.folder)
        about = (
            f"{record.name}: {counted(record.videos, 'test video')} of {record.identity}, {record.created:%d %B %Y}."
        )
        speed, compute = record.throughput.clips_per_second, record.throughput.compute_clips_per_second
        cost = {
            "clips scored in a second": _number(speed, ",.0f"),
            "of compute alone": _number(compute, ",.0f"),
            "waiting for videos": _number(1 - speed / compute if speed and compute else None, ".0%"),
            "parameters": f"{record.model.parameters:,}",
            "GFLOP a clip, one view": _number(record.model.gflop_per_clip, ",.2f"),
            "precision": record.precision,
            "machine": record.hardware.gpu or f"{record.hardware.processor}, {counted(record.hardware.cores, 'core')}",
        }
        costs = TextTable(("", record.name), tuple(cost.items()))
        tables = (("Scores", _scores(record.metrics, ledger)), ("Cost", costs))
        return self._drawn("Test", about, tables, lambda: self._predictions("the test", record.metrics, ledger))

    def _training(self) -> Section:
        about = f"Epoch by epoch, over all times that the fit went on; the same numbers are in {CURVES_NAME}."
        try:
            curves = read_curves(self.folder)
        except UserError as error:
            return Section("Training", about, holes=(str(error),))
        _write_curves(curves, self.folder / CURVES_NAME)

        def draw() -> None:
            self.gallery.curves({self.folder.absolute().name: self.folder})
            self.gallery.cost_split(curves)

        return self._drawn("Training", about, (), draw)

    def _validation(self) -> Section:
        path, title, about = self.folder / VALIDATION_NAME, "Validation", "What best.ckpt was chosen for."
        if not path.exists():
            why = "the architecture validates in its own way, or there are too many videos and classes to keep"
            return Section(title, about, holes=(f"{VALIDATION_NAME}: {why}",))
        ledger = Ledger.read(path)
        metrics = summarise(ledger)[0]
        about = f"What best.ckpt was chosen for, on {counted(len(ledger), 'video')}."
        draw = lambda: self._predictions("the validation", metrics, ledger)  # noqa: E731
        return self._drawn(title, about, (("Scores", _scores(metrics, ledger)),), draw)

    def _predictions(self, name: str, metrics: Mapping[str, Value], ledger: Ledger) -> None:
        parts: tuple[tuple[str, Callable[[], object]], ...] = (
            ("Confusions", lambda: self.gallery.confusions(name, ledger)),
            ("Classes", lambda: self.gallery.each_class(name, ledger)),
            ("Groups", lambda: self.gallery.groups({name: metrics}) if ledger.info.class_groups else None),
            ("Best and worst predictions", lambda: self.gallery.extremes(name, ledger, self.frames)),
        )
        for title, draw in parts:
            self._tried(title, draw)

    def _filters(self) -> Section:
        def draw() -> None:
            from benchmark.runs.pictures import convolution_weights  # imports matplotlib

            path = self.folder / "checkpoints" / "best.ckpt"
            self.gallery.filters("best.ckpt", convolution_weights(read_checkpoint(str(path))["state_dict"]))

        return self._drawn("Filters", "What the first layer looks at.", (), lambda: self._tried("Filters", draw))

    def _drawn(
        self, title: str, about: str, tables: tuple[tuple[str, TextTable], ...], draw: Callable[[], object]
    ) -> Section:
        """A section with the pictures that a function draws into the gallery."""
        if self.gallery is None:
            return Section(title, about, tables, holes=(self.why_no_pictures,))
        begun, known = len(self.gallery.pictures), {*self.gallery.holes}
        draw()
        holes = tuple(f"{name}: {why}" for name, why in self.gallery.holes.items() if name not in known)
        return Section(title, about, tables, tuple(self.gallery.pictures[begun:]), holes=holes)

    def _tried(self, title: str, draw: Callable[[], object]) -> None:
        """Draw, or note why that cannot be: a picture is no reason to be without the others."""
        try:
            draw()
        except Exception as error:  # of a drawing library, which may raise anything
            self.gallery.holes[title] = _reason(error)


def _forgiving(frames: Frames) -> Frames:
    """Frames of videos of which any may be unreadable."""

    def shown(video: str) -> np.ndarray | None:
        try:
            return frames(video)
        except Exception:  # which the strip of the video says
            return None

    return shown


def _scores(metrics: Mapping[str, Value], ledger: Ledger) -> TextTable:
    rows = []
    for name, held in metrics.items():
        score, ends = score_of(name), (held.low, held.high)
        if held.value is None or says_nothing(name, len(ledger.info.class_names)):
            continue
        shown = [UNKNOWN if end is None else score.text(end) for end in ends]
        rows.append((score.title, score.text(held.value), " to ".join(shown) if None not in ends else UNKNOWN))
    return TextTable(("score", "value", "95% interval"), tuple(rows))


def _write_curves(curves: Curves, path: Path) -> None:
    """One row an epoch, one column a logged value; empty where it was not logged."""
    held = {name: dict(zip(*points, strict=True)) for name, points in curves.items()}
    with whole(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *held])
        for epoch in sorted({epoch for points in held.values() for epoch in points}):
            writer.writerow([epoch, *(points.get(epoch, "") for points in held.values())])


def _number(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
