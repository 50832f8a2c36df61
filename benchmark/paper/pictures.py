"""The paper's Figures 3 to 5, and more, from whatever cells are finished."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.errors import UserError
from benchmark.figures.choice import Frames
from benchmark.figures.filters import first_filters
from benchmark.figures.gallery import Gallery
from benchmark.models.stored import read_checkpoint
from benchmark.pages.sections import Picture
from benchmark.paper.plan import WEIGHTS
from benchmark.paper.results import PaperResults, test_name
from benchmark.paper.rows import EARLY, MULTIRES, SINGLE, SLOW
from benchmark.results.record import Record
from benchmark.runs.pictures import convolution_weights
from benchmark.transfer.plot import write_plot
from benchmark.transfer.tables import TransferResults

Drawn = tuple[tuple[Picture, ...], tuple[str, ...]]
"""Pictures, and why others are not there."""


def weights_of(results: PaperResults, key: str) -> dict[str, np.ndarray]:
    """Convolutions of a system's network, of its first finished cell; nothing where there is none."""
    for cell in results.cells:
        if cell.row.key == key and cell.is_finished:
            try:
                return convolution_weights(read_checkpoint(str(cell.folder / WEIGHTS))["state_dict"])
            except UserError:
                continue
    return {}


def filters_of(results: PaperResults, key: str) -> dict[str, np.ndarray]:
    """First-layer filters of a system, by stream; nothing where there are none."""
    return first_filters(weights_of(results, key))


def draw_figures(
    gallery: Gallery,
    results: PaperResults,
    transfer: TransferResults | None,
    frames_of: Callable[[Record], Frames],
) -> dict[str, Drawn]:
    """Draw everything; returns what came of each part of the paper.

    Args:
        gallery: Where it is drawn.
        results: Of Table 1.
        transfer: Of Tables 3 and 4.
        frames_of: Gives the frames of the videos that a record is about.
    """
    parts: dict[str, Callable[[], list[str]]] = {
        "Table 2": lambda: _motion(gallery, results),
        "Tables 3 and 4": lambda: _transfer(gallery, transfer),
        "Figure 3": lambda: _filters(gallery, results),
        "Figure 4": lambda: _predictions(gallery, results, frames_of),
        "Figure 5": lambda: _changes(gallery, results, frames_of),
        "More": lambda: _more(gallery, results),
    }
    found: dict[str, Drawn] = {}
    for name, draw in parts.items():
        begun = len(gallery.pictures)
        known = dict(gallery.holes)
        missing = draw()
        holes = [f"{title}: {why}" for title, why in gallery.holes.items() if title not in known]
        found[name] = tuple(gallery.pictures[begun:]), tuple([*missing, *holes])
    return found


def _title(results: PaperResults, key: str) -> str:
    return results.systems[key].row.title


def _filters(gallery: Gallery, results: PaperResults) -> list[str]:
    missing = []
    for key in (MULTIRES, EARLY, SLOW):
        if held := weights_of(results, key):
            gallery.filters(_title(results, key), held)
        else:
            missing.append(f"{_title(results, key)}: {results.hole(results.systems[key].row)}")
    return missing


def _predictions(gallery: Gallery, results: PaperResults, frames_of: Callable[[Record], Frames]) -> list[str]:
    for key in (SLOW, SINGLE):
        if tests := results.systems[key].tests:
            name, (record, ledger) = next(iter(tests.items()))
            gallery.predictions(f"{_title(results, key)}, {name}", ledger, frames_of(record))
            return []
    return ["neither slow fusion nor single-frame has a finished cell"]


def _changes(gallery: Gallery, results: PaperResults, frames_of: Callable[[Record], Frames]) -> list[str]:
    slow, single = results.systems[SLOW].tests, results.systems[SINGLE].tests
    for name in slow:
        if name in single:
            record, ledger = slow[name]
            titles = [_title(results, key) for key in (SLOW, SINGLE)]
            gallery.changes((titles[0], ledger), (titles[1], single[name][1]), frames_of(record))
            return []
    return ["slow fusion and single-frame share no finished cell"]


def _motion(gallery: Gallery, results: PaperResults) -> list[str]:
    if (pair := results.pair(SLOW, SINGLE)) is not None:
        gallery.classes((_title(results, SLOW), pair[0]), (_title(results, SINGLE), pair[1]))
    return []


def _transfer(gallery: Gallery, transfer: TransferResults | None) -> list[str]:
    if transfer is not None and any(cell.record is not None for cell in transfer.cells):
        gallery.own("transfer", "Tables 3 and 4 as a picture", "Bars: mean and spread of folds. Diamonds: the paper.",
                    lambda path: write_plot(transfer, path))  # fmt: skip
    return []


def _more(gallery: Gallery, results: PaperResults) -> list[str]:
    for system in results.systems.values():
        if system.tests and system.row.key in {SLOW, SINGLE}:
            name, (_, ledger) = next(iter(system.tests.items()))
            gallery.confusions(f"{system.row.title}, {name}", ledger)
    fits: dict[str, Path] = {}
    for cell in results.cells:
        is_first = cell.row.title not in {name.partition(" (")[0] for name in fits}
        if is_first and cell.is_finished and (cell.folder / "fit/csv").is_dir():
            fits[f"{cell.row.title} ({test_name(cell)})"] = cell.folder / "fit"
    gallery.curves(fits)
    if results.records:
        gallery.costs(results.records)
        gallery.groups({name: record.metrics for name, record in results.records.items()})
    return []
