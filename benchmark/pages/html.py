"""Pages that need no server, no network and no script; their pictures are in them, and names of others stay text."""

import base64
import functools
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from benchmark.files import write_whole

_HERE = "benchmark.pages"


def style_sheet() -> str:
    """The one look of all pages of the suite."""
    return _asset("page.css")


def report_style() -> str:
    """The look of reports: sections of tables and pictures, without a script."""
    return style_sheet() + _asset("report.css")


def write_html(
    path: Path, pictures: Path, *, template: str = "report.html.j2", package: str = _HERE, **held: Any
) -> None:
    """Write a page of sections.

    Args:
        path: An .html file.
        pictures: Folder of the sections' pictures.
        template: Name of a template that extends `report.html.j2`, or that itself.
        package: Whose `assets` hold the template.
        held: `title`, `lead`, `sections`, and whatever the template needs.
    """
    loaders = [jinja2.FunctionLoader(functools.partial(_template, name)) for name in dict.fromkeys((package, _HERE))]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def image(file: str) -> str:
        return f"data:image/png;base64,{base64.b64encode((pictures / file).read_bytes()).decode()}"

    page = environment.get_template(template)
    write_whole(path, page.render(style=report_style(), image=image, **held) + "\n", shared=True)


def _asset(name: str, package: str = _HERE) -> str:
    return (resources.files(package) / "assets" / name).read_text("utf-8")


def _template(package: str, name: str) -> str | None:
    return _asset(name, package) if (resources.files(package) / "assets" / name).is_file() else None
