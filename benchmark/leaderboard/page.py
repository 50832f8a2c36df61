"""The page: all boards in one static file that needs no server and no network.

What a row says may come from anyone. It enters the page as JSON in which nothing can end the element that holds it, and
the page's script writes it as text only; a policy in the page forbids every script and every address but its own.
"""

import base64
import dataclasses
import hashlib
import json
import math
import pkgutil
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from benchmark.errors import UserError
from benchmark.extras import require_extra
from benchmark.files import whole, write_whole
from benchmark.leaderboard.board import Board, Row
from benchmark.leaderboard.board_tables import (
    RANKS,
    RANKS_MORE,
    SPREAD,
    SUBMITTED,
    added_names,
    detectable,
    spread_text,
    without_clips,
)
from benchmark.metrics.descriptors import score_of
from benchmark.pages.html import style_sheet
from benchmark.results.record import Value

FILE_NAME = "index.html"
PLOTS_FILE_NAME = "plotly.min.js"

# In this order they are one script.
_SCRIPTS = ("format.js", "columns.js", "table.js", "plots.js", "compare.js", "main.js")
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def write_page(boards: Sequence[Board], folder: Path) -> None:
    """Write `index.html`, and the plotting library beside it if none is there; equal boards give an equal page.

    The library stays as it is, since the version somebody has installed is no reason to change a published page.

    Args:
        boards: In the order in which the page shows them; their strings may come from anyone.
        folder: Made if it is not there.

    Raises:
        UserError: If the folder cannot be written, or the plotting library is missing or lacks its bundle.
    """
    require_extra("plotly", "the leaderboards' page")
    plots = pkgutil.get_data("plotly", "package_data/plotly.min.js")
    if not plots:
        raise UserError("the package plotly has no package_data/plotly.min.js; install it again: pip install plotly")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / FILE_NAME, _html(boards))
        if not (folder / PLOTS_FILE_NAME).exists():
            with whole(folder / PLOTS_FILE_NAME) as unfinished:
                unfinished.write_bytes(plots)
    except OSError as error:
        raise UserError(f"the page cannot be written to {folder} ({error.strerror}); give another folder") from error


def plots_version(bundle: Path) -> str | None:
    """The version of Plotly's JavaScript that a bundle says it is; None if it says none."""
    with bundle.open("rb") as file:
        found = re.search(rb"plotly\.js v(\d[\w.-]*)", file.read(1024))
    return found[1].decode() if found else None


def _html(boards: Sequence[Board]) -> str:
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' file: {_hash(script)}",  # a file on a disk has no origin to be the 'self' of
            "style-src 'unsafe-inline'",  # Plotly adds rules of its own; without addresses, style can do no harm
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(_asset("index.html.j2")).render(
        policy=policy,
        style=style_sheet(),
        script=script,
        plots_file=PLOTS_FILE_NAME,
        ranks=RANKS,
        ranks_more=RANKS_MORE,
        submitted=SUBMITTED,
        spread=SPREAD,
        data=embedded_json({"boards": [_board(board) for board in boards], "scores": _added(boards)}),
    )


def embedded_json(value: object) -> str:
    """JSON in ASCII without `<`, `>` and `&`, so that it is safe in a script element whatever its strings say."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character, escaped in _ESCAPES.items():
        text = text.replace(character, escaped)
    return text


def _asset(name: str) -> str:
    return (resources.files("benchmark.leaderboard") / "page_assets" / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _added(boards: Sequence[Board]) -> list[dict[str, Any]]:
    """How the page shows scores that not every record has."""
    scores = [(name, score_of(name)) for name in added_names(boards)]
    return [
        {
            "name": name,
            "title": _begun(score.title),
            "percent": score.unit == "percent",
            "higher": score.higher_is_better,
        }
        for name, score in scores
    ]


def _begun(title: str) -> str:
    """A title as the page's own begin, with a capital, unless it is spelt otherwise, as mAP."""
    return title if title[1:2].isupper() else title[:1].upper() + title[1:]


def _board(board: Board) -> dict[str, Any]:
    return {
        "title": board.title,
        **vars(board.identity),
        "protocol_hash": board.protocol_hash,
        "protocol": board.protocol,
        "detectable": detectable(board),
        "folds": board.folds,
        "without_clips": without_clips(board),
        "rows": [_row(row) for row in board.rows],
    }


def _row(row: Row) -> dict[str, Any]:
    plain = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return {
        **{name: _number(value) if isinstance(value, float) else value for name, value in plain.items()},
        "metrics": _values(row.metrics),
        "links": [(link.label, link.address) for link in row.links],
        "spread": None if row.spread is None else spread_text(row),
        "decoded_only": None if row.decoded_only is None else _values(row.decoded_only),
    }


def _values(metrics: dict[str, Value]) -> list[tuple[str, float | None, float | None, float | None]]:
    """As a list: a metric's name holds a group's name, and would name a property of the script's objects otherwise."""
    return [(name, _number(held.value), _number(held.low), _number(held.high)) for name, held in metrics.items()]


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
