"""The report as PDF: the same parts as pages of A4, drawn with matplotlib."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.image import imread

from benchmark.figures.style import FAINT, INK, short, styled
from benchmark.files import whole
from benchmark.pages.sections import Section
from benchmark.pages.tables import TextTable
from benchmark.paper.report import Report

_WIDTH, _HEIGHT, _MARGIN = 8.27, 11.69, 0.6  # inches
_LINE = 0.165
_TITLE = 0.75  # above a picture
_USUAL = 42  # signs that a cell has in a line at most, where other columns need room
_SIGNS = 112  # of text in a line


class _Pages:
    """Fills pages from top to bottom."""

    def __init__(self, pdf: PdfPages) -> None:
        self._pdf = pdf
        self._figure: Figure | None = None
        self._top = 0.0

    def room(self, inches: float) -> Figure:
        """The page, a new one where there is not so much room left."""
        if self._figure is None or self._top + inches > _HEIGHT - _MARGIN:
            self.end()
            self._figure, self._top = Figure(figsize=(_WIDTH, _HEIGHT)), _MARGIN
        return self._figure

    def text(self, text: str, size: float = 9, colour: str = INK, weight: str = "normal") -> None:
        """A paragraph."""
        for line in textwrap.wrap(short(text, 4000), int(_SIGNS * 8.5 / size)) or [""]:
            height = _LINE * size / 8.5
            figure = self.room(height)
            figure.text(
                _MARGIN / _WIDTH, 1 - (self._top + 0.7 * height) / _HEIGHT, line, size=size, color=colour, weight=weight
            )
            self._top += height
        self.space(0.06)

    def space(self, inches: float) -> None:
        """Some room."""
        self._top += inches

    def picture(self, path: Path, title: str, caption: str) -> None:
        """A picture under its title, as wide as the page where it is large."""
        pixels = imread(path)
        width = min(_WIDTH - 2 * _MARGIN, pixels.shape[1] / 130)
        height = width * pixels.shape[0] / pixels.shape[1]
        if height > (most := _HEIGHT - 2 * _MARGIN - _TITLE):
            width, height = width * most / height, most
        self.room(height + _TITLE)
        self.text(title, weight="bold")
        self.text(caption, 8, FAINT)
        figure = self.room(height)
        bottom = 1 - (self._top + height) / _HEIGHT
        axes = figure.add_axes((_MARGIN / _WIDTH, bottom, width / _WIDTH, height / _HEIGHT))
        axes.imshow(pixels, aspect="auto", interpolation="none")
        axes.set_axis_off()
        self._top += height + 0.15

    def table(self, table: TextTable) -> None:
        """Rows of cells, wrapped where they are long; each page begins with the header."""
        columns = list(zip(table.header, *table.rows, strict=True))
        words = [max(len(word) for cell in column for word in cell.split() or [""]) for column in columns]
        usual = [min(_USUAL, max(map(len, column[1:]), default=0)) for column in columns]
        shares = [max(1.3 * one, other) + 2 for one, other in zip(words, usual, strict=True)]
        size = min(7.5, 7.5 * 1.1 * _SIGNS / sum(shares))
        widths = [(_WIDTH - 2 * _MARGIN) * share / sum(shares) for share in shares]
        signs = [max(3, int(share / 1.05) - 1) for share in shares]
        header = [max(3, int(share * 0.75)) for share in shares]  # bold letters are wide
        wrapped = [
            [textwrap.wrap(short(cell, 400), width) or [""] for cell, width in zip(row, most, strict=True)]
            for row, most in [(table.header, header), *((row, signs) for row in table.rows)]
        ]
        heights = [_LINE * size / 8.5 * max(map(len, cells)) + 0.04 for cells in wrapped]
        self.room(sum(heights[:3]))
        for number, cells in enumerate(wrapped):
            before = self._figure
            if self.room(heights[number]) is not before and number:
                self._row(wrapped[0], heights[0], widths, size, is_header=True)
            self._row(cells, heights[number], widths, size, is_header=not number)
        self.space(0.15)

    def _row(
        self, cells: Sequence[Sequence[str]], height: float, widths: Sequence[float], size: float, *, is_header: bool
    ) -> None:
        figure, right = self.room(height), _MARGIN
        for place, lines in enumerate(cells):
            right += widths[place]
            figure.text(
                (_MARGIN if place == 0 else right - 0.05) / _WIDTH,
                1 - (self._top + 0.02) / _HEIGHT,
                "\n".join(lines),
                size=size,
                va="top",
                ha="left" if place == 0 else "right",
                color=FAINT if is_header else INK,
                weight="bold" if is_header else "normal",
            )
        self._top += height

    def end(self) -> None:
        """Write the page."""
        if self._figure is not None:
            self._pdf.savefig(self._figure, dpi=130)  # type: ignore[no-untyped-call]
            self._figure = None


def write_pdf(report: Report, path: Path) -> None:
    """Write the report; the same report gives the same bytes.

    Args:
        report: All of it.
        path: A .pdf file.
    """
    with styled(), whole(path, shared=True) as unfinished:
        metadata = {"CreationDate": None, "ModDate": None, "Producer": "clipbench", "Title": report.title}
        with PdfPages(unfinished, metadata=metadata) as pdf:
            pages = _Pages(pdf)
            pages.text(report.title, 16, weight="bold")
            pages.text(report.lead, colour=FAINT)
            pages.text("What holds here", 12, weight="bold")
            pages.text(report.summary)
            pages.table(
                TextTable(
                    ("the paper's finding", "the paper's numbers", "here", "our numbers"),
                    tuple((found.said, found.paper, found.verdict, found.ours) for found in report.findings),
                )
            )
            if report.differences:
                pages.text("What differs from the paper's runs", 12, weight="bold")
                for line in report.differences:
                    pages.text(f"- {line}")
            for section in report.sections:
                _section(pages, section, report.folder)
            if report.commands:
                pages.text("To run", 12, weight="bold")
                for name, state, command in report.commands:
                    pages.text(f"{name} ({state}): {command}", 7)
            pages.end()


def _section(pages: _Pages, section: Section, folder: Path) -> None:
    pages.space(0.1)
    pages.room(2.4)  # no heading at the foot of a page
    pages.text(section.title, 12, weight="bold")
    pages.text(section.about, colour=FAINT)
    for heading, table in section.tables:
        if heading:
            pages.text(heading, weight="bold")
        pages.table(table)
    for note in section.notes:
        pages.text(note, 8, FAINT)
    for picture in section.pictures:
        if not picture.file.startswith("moving"):  # a page has no room for time
            pages.picture(folder / picture.file, picture.title, picture.caption)
    for hole in section.holes:
        pages.text(f"Not there: {hole}", 8)
