"""The report of a reproduction: every table and figure of the paper beside ours, holes as holes.

Its numbers and pictures are a function of the files of finished cells alone, so that a grid that was killed and went on
gives the same report; of the other cells it says the state.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmark.figures.choice import Frames
from benchmark.figures.gallery import Gallery
from benchmark.grid.cells import NOT_RUN
from benchmark.leaderboard.claims import Claims
from benchmark.pages.html import write_html
from benchmark.pages.sections import Picture, Section
from benchmark.pages.tables import TextTable
from benchmark.paper import published
from benchmark.paper.differences import differences
from benchmark.paper.findings import Finding, findings, paragraph
from benchmark.paper.pictures import draw_figures, filters_of
from benchmark.paper.plan import Plan
from benchmark.paper.results import PaperResults
from benchmark.paper.rows import MULTIRES
from benchmark.results.record import Record
from benchmark.transfer.tables import TransferResults
from benchmark.wording import counted

FIGURES = "figures"
"""Folder of the pictures, in that of the report."""

_NOT_THERE = (NOT_RUN, "failed", "unfinished", "unreadable")


@dataclasses.dataclass(frozen=True)
class Report:
    """All of it.

    Args:
        title: Of the report.
        lead: What was run.
        differences: What differs from the paper's runs.
        summary: Which findings hold, in one paragraph.
        findings: The same, one by one.
        sections: The paper's tables and figures in its order, and then what else there is.
        commands: For each cell that is not finished: its name, its state, and the command that runs it.
        folder: Of the pictures.
    """

    title: str
    lead: str
    differences: tuple[str, ...]
    summary: str
    findings: tuple[Finding, ...]
    sections: tuple[Section, ...]
    commands: tuple[tuple[str, str, str], ...]
    folder: Path

    def write_html(self, path: Path) -> None:
        """Write it as one HTML file."""
        own = {"title": self.title, "lead": self.lead, "sections": self.sections, "report": self}
        write_html(
            path, self.folder, template="reproduction.html.j2", package="benchmark.paper", not_there=_NOT_THERE, **own
        )


def make_report(plan: Plan, claims: Sequence[Claims], command: str, frames_of: Callable[[Record], Frames]) -> Report:
    """Draw all pictures of whatever is finished, and say the rest in words.

    Args:
        plan: What was asked for.
        claims: The paper's tables.
        command: That runs the reproduction.
        frames_of: Gives the frames of the videos that a record is about.
    """
    results = PaperResults(plan, claims)
    experiment = plan.transfer()
    transfer = None
    if experiment is not None:
        transfer = TransferResults([cell.result() for cell in experiment.cells], claims)
    gallery = Gallery(plan.folder / FIGURES)
    drawn = draw_figures(gallery, results, transfer, frames_of)
    found = findings(results, transfer or TransferResults([], claims), filters_of(results, MULTIRES))
    networks = [system for system in results.systems.values() if system.row.is_network]
    records = [record for system in networks for record, _ in system.tests.values()]
    return Report(
        title="Large-scale video classification, reproduced",
        lead=_lead(plan, results),
        differences=tuple(differences(records)),
        summary=paragraph(found),
        findings=tuple(found),
        sections=(
            _table1(results, command),
            _table2(results, drawn["Table 2"]),
            *_transfer_sections(plan, transfer, drawn["Tables 3 and 4"]),
            _figure("Figure 3", published.FIGURE3, drawn["Figure 3"]),
            _figure("Figure 4", published.FIGURE4, drawn["Figure 4"]),
            _figure("Figure 5", published.FIGURE5, drawn["Figure 5"]),
            _figure(
                "More",
                "What the paper says without a picture: confusions, training, speed, kinds of classes.",
                drawn["More"],
            ),
        ),
        commands=tuple(_commands(plan, command)),
        folder=gallery.folder,
    )


def _lead(plan: Plan, results: PaperResults) -> str:
    finished = sum(cell.is_finished for cell in plan.cells())
    recipe = "the paper's own recipe" if plan.recipe == "paper" else "the recipe that ships"
    width = "the configurations' width" if plan.width is None else f"width {plan.width:g}"
    epochs = "the configurations' epochs" if plan.epochs is None else counted(plan.epochs, "epoch")
    named = [str(fold) for fold in plan.folds if fold is not None]
    folds = f", fold{'s' if len(named) > 1 else ''} {', '.join(named)}" if named else ""
    data = sorted({record.dataset.name for record in results.records.values()}) or [plan.dataset]
    return (
        f"{', '.join(data)}{folds}; {recipe}, {width}, {epochs}. {finished} "
        f"of {counted(len(plan.cells()), 'cell is', 'cells are')} finished."
    )


def _table1(results: PaperResults, command: str) -> Section:
    missing = [system.row for system in results.systems.values() if not system.tests]
    holes = [f"{row.title}: {results.hole(row)}: {command} --only {row.key}" for row in missing]
    notes = (
        "The paper's numbers are of 200,000 test videos of Sports-1M; ours are of the videos named above, and cannot "
        "be ranked with them.",
        "Ours are over the test videos of all finished folds and seeds together, with 95% intervals over sources.",
    )
    about = "Accuracy of every system, in percent."
    return Section("Table 1", about, (("", results.table1()),), notes=notes, holes=tuple(holes))


def _table2(results: PaperResults, pictures: tuple[tuple[Picture, ...], tuple[str, ...]]) -> Section:
    paper = TextTable(
        ("class of Sports-1M", "the paper's difference"),
        tuple((name, f"{gain:+.2f}") for name, gain in (*published.TABLE2_BETTER, *published.TABLE2_WORSE)),
    )
    own = results.table2()
    tables = (*(() if own is None else (("Ours", own),)), ("The paper's", paper))
    notes = ("Brackets are 95% intervals, each for its class alone; p is corrected for having looked at all classes.",)
    holes = () if own is not None else ("slow fusion and single-frame share no finished cell",)
    about = "Classes on which slow fusion is better than single-frame, and worse, by average precision."
    said = notes if own is not None else ()
    return Section("Table 2", about, tables, pictures[0], said, holes, beside=len(tables) == 2)


def _transfer_sections(
    plan: Plan, transfer: TransferResults | None, pictures: tuple[tuple[Picture, ...], tuple[str, ...]]
) -> tuple[Section, Section]:
    about3 = "Accuracy by the layers that are retrained, in percent (video Hit@1)."
    about4 = "Mean average precision by group of classes, by the layers that are retrained."
    if transfer is None:
        hole = (f"{plan.transfer_lacks()}.",)
        return Section("Table 3", about3, holes=hole), Section("Table 4", about4, holes=hole)
    pairs = transfer.table_of_comparisons()
    tables = (("", transfer.table3()), *(() if pairs is None else (("Paired comparisons", pairs),)))
    holes = tuple(f"{cell.regime}, fold {cell.fold}: {cell.state}" for cell in transfer.cells if cell.record is None)
    return (
        Section("Table 3", about3, tables, pictures[0], tuple(transfer.notes()), holes),
        Section("Table 4", about4, (("", transfer.table4()),), holes=holes),
    )


def _figure(title: str, about: str, drawn: tuple[tuple[Picture, ...], tuple[str, ...]]) -> Section:
    return Section(title, about, pictures=drawn[0], holes=drawn[1])


def _commands(plan: Plan, command: str) -> list[tuple[str, str, str]]:
    return [
        (cell.name, cell.state(), f"{command} --cell {cell.number}") for cell in plan.cells() if not cell.is_finished
    ]
