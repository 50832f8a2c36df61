"""The report as one HTML file that needs no server, no network and no script; its pictures are in it."""

import base64
from importlib import resources
from pathlib import Path

import jinja2

from benchmark.files import write_whole
from benchmark.grid.cells import NOT_RUN
from benchmark.leaderboard.page import style_sheet
from benchmark.paper.report import Report

_HOLES = (NOT_RUN, "failed", "unfinished", "unreadable")


def write_html(report: Report, path: Path) -> None:
    """Write the report; whatever names it holds stay text.

    Args:
        report: All of it.
        path: An .html file.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )

    def image(file: str) -> str:
        return f"data:image/png;base64,{base64.b64encode((report.folder / file).read_bytes()).decode()}"

    text = environment.from_string(_asset("report.html.j2")).render(
        report=report, style=style_sheet() + _asset("report.css"), image=image, holes=_HOLES
    )
    write_whole(path, text + "\n")


def _asset(name: str) -> str:
    return (resources.files("benchmark.paper") / "assets" / name).read_text("utf-8")
