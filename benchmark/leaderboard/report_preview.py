"""A page that shows what a W&B report will say, without W&B; its plots are drawn from the boards' rows."""

import dataclasses
import math
from collections.abc import Sequence

import jinja2

from benchmark.leaderboard.board import Board
from benchmark.leaderboard.board_tables import board_table, claims, group_table, group_value, groups

_WIDTH, _HEIGHT, _MARGIN = 640, 320, 48

_TEMPLATE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }} (preview)</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c1c; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ccc; padding: .3rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.note { background: #f2f2f2; padding: .6rem 1rem; }
svg { max-width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: #1c1c1c; }
.axis, .tick { stroke: #999; fill: none; }
.tick { stroke-dasharray: 2 4; }
.mark, .bar { fill: #0b6e99; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ description }}</p>
<p class="note">A preview. On W&amp;B the plots show the runs of {{ entity }}/{{ project }} that belong to each board;
here they show the rows of its table.</p>
{% for section in sections %}
<section>
<h2>{{ section.board.title }}</h2>
<p>Protocol: {{ section.board.protocol }}</p>
{% if section.board.identity.classes is not none %}
<p>A subset of the dataset: {{ section.board.identity.classes | join(", ") }}</p>
{% endif %}
{{ table(section.table) }}
{% if section.scatter %}
<h3>video Hit@1 against clips/s</h3>
<svg viewBox="0 0 {{ width }} {{ height }}" width="{{ width }}" height="{{ height }}" role="img"
aria-label="video Hit@1 against clips a second">
{% for tick in section.scatter.x_ticks %}
<path class="tick" d="M{{ tick.at }} {{ margin }}V{{ height - margin }}"/>
<text x="{{ tick.at }}" y="{{ height - margin + 18 }}" text-anchor="middle">{{ tick.label }}</text>
{% endfor %}
{% for tick in section.scatter.y_ticks %}
<path class="tick" d="M{{ margin }} {{ tick.at }}H{{ width - margin }}"/>
<text x="{{ margin - 6 }}" y="{{ tick.at + 4 }}" text-anchor="end">{{ tick.label }}</text>
{% endfor %}
<path class="axis" d="M{{ margin }} {{ margin }}V{{ height - margin }}H{{ width - margin }}"/>
<text x="{{ width / 2 }}" y="{{ height - 8 }}" text-anchor="middle">clips/s</text>
<text x="{{ margin }}" y="{{ margin - 14 }}">video Hit@1, %</text>
{% for point in section.scatter.points %}
<circle class="mark" cx="{{ point.x }}" cy="{{ point.y }}" r="5"><title>{{ point.name }}</title></circle>
<text x="{{ point.x + (-8 if point.x > width / 2 else 8) }}" y="{{ point.y + 4 }}"
text-anchor="{{ 'end' if point.x > width / 2 else 'start' }}">{{ point.name }}</text>
{% endfor %}
</svg>
{% endif %}
{% if section.group_table %}
<h3>Mean average precision by group</h3>
{{ table(section.group_table) }}
{% for group, bars in section.bars %}
<h4>{{ group }}</h4>
<table>
{% for name, value in bars %}
<tr><td>{{ name }}</td><td><svg width="300" height="12" role="img" aria-label="{{ '%.3f' | format(value) }}">
<rect class="bar" width="{{ '%.1f' | format(300 * value) }}" height="12"/></svg></td></tr>
{% endfor %}
</table>
{% endfor %}
{% endif %}
{% if section.claims %}
<p>Claimed, and not checked here:</p>
<ul>{% for claim in section.claims %}<li>{{ claim }}</li>{% endfor %}</ul>
{% endif %}
</section>
{% endfor %}
</body>
</html>
"""

_MACRO = """\
{% macro table(content) -%}
<div class="scroll"><table>
<thead><tr>{% for cell in content.header %}<th>{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in content.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
{%- endmacro %}"""


@dataclasses.dataclass(frozen=True)
class _Tick:
    at: float
    label: str


@dataclasses.dataclass(frozen=True)
class _Point:
    name: str
    x: float
    y: float


@dataclasses.dataclass(frozen=True)
class _Scatter:
    points: list[_Point]
    x_ticks: list[_Tick]
    y_ticks: list[_Tick]


def preview(boards: Sequence[Board], *, title: str, description: str, entity: str, project: str) -> str:
    """The page as HTML, without a script, in which every name is escaped.

    Args:
        boards: What to show.
        title: Of the report.
        description: Of the report.
        entity: W&B user or team.
        project: Its project that holds the runs.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    sections = [
        {
            "board": board,
            "table": board_table(board),
            "scatter": _scatter(board),
            "group_table": group_table(board),
            "bars": [(group, _bars(board, group)) for group in groups(board)],
            "claims": claims(board.rows),
        }
        for board in boards
    ]
    return environment.from_string(_MACRO + _TEMPLATE).render(
        title=title,
        description=description,
        entity=entity,
        project=project,
        sections=sections,
        width=_WIDTH,
        height=_HEIGHT,
        margin=_MARGIN,
    )


def _bars(board: Board, group: str) -> list[tuple[str, float]]:
    return [(row.name, value) for row in board.rows if (value := group_value(row, group)) is not None]


def _scatter(board: Board) -> _Scatter | None:
    """Places of the rows of which both numbers are known, speed on a logarithmic scale; None if there are none."""
    known = [
        (row.name, row.clips_per_second, hit.value)
        for row in board.rows
        if (hit := row.metrics.get("video_hit1")) is not None and hit.value is not None and row.clips_per_second
    ]
    if not known:
        return None
    exponents = [math.log10(speed) for _, speed, _ in known]
    low, high = math.floor(min(exponents)), math.ceil(max(exponents))
    high = max(high, low + 1)

    def across(exponent: float) -> float:
        return round(_MARGIN + (_WIDTH - 2 * _MARGIN) * (exponent - low) / (high - low), 1)

    def up(share: float) -> float:
        return round(_HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * share, 1)

    return _Scatter(
        [_Point(name, across(math.log10(speed)), up(share)) for name, speed, share in known],
        [_Tick(across(exponent), f"{10.0**exponent:,g}") for exponent in range(low, high + 1)],
        [_Tick(up(percent / 100), str(percent)) for percent in range(0, 101, 20)],
    )
