"""A page that shows what a W&B report will say, without W&B; its plots are drawn from the boards' rows."""

import dataclasses
import math
from collections.abc import Sequence

import jinja2

from benchmark.leaderboard.board import Board
from benchmark.leaderboard.board_tables import board_table, claims, group_table, group_value, groups
from benchmark.pages.html import report_style

_WIDTH, _HEIGHT, _MARGIN = 720, 380, 48

_TEMPLATE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }} (preview)</title>
<style>{{ style|safe }}
h3, h4 { margin-top: 1.5rem; }
.scroll table { font-size: .8125rem; } .scroll td { min-width: 3.25rem; } .scroll td:first-child { min-width: 10rem; }
.scroll td:nth-child(n + 4):nth-child(-n + 5) { min-width: 7rem; }
svg { display: block; max-width: 100%; height: auto; margin-top: .5rem; }
svg text { font-size: 12px; fill: var(--muted); }
svg .number { fill: var(--text); font-weight: 600; }
.grid, .tick { stroke: var(--line); fill: none; }
.mark { fill: var(--series-1); }
ol.points { columns: 18rem; margin: .5rem 0; font-size: .875rem; }
@media (max-width: 40rem) { svg text { font-size: 19px; } }
.bars { table-layout: fixed; max-width: 52rem; }
.bars td { min-width: 0; border: 0 !important; padding: .1875rem .5rem; overflow-wrap: anywhere; }
.bars td:first-child { width: 38%; } .bars td:last-child { width: 4.5rem; text-align: right; }
.track { height: .875rem; background: linear-gradient(to right, var(--line) 1px, transparent 1px) 0 / 25% 100%; }
.track div { height: 100%; background: var(--series-1); }
.scale { display: flex; justify-content: space-between; color: var(--muted); font-size: .75rem; }
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
<path class="grid" d="M{{ margin }} {{ margin }}V{{ height - margin }}H{{ width - margin }}"/>
<text x="{{ width / 2 }}" y="{{ height - 8 }}" text-anchor="middle">clips/s</text>
<text x="{{ margin }}" y="{{ margin - 14 }}">video Hit@1, %</text>
{% for point in section.scatter.points %}
<circle class="mark" cx="{{ point.x }}" cy="{{ point.y }}" r="4"><title>{{ point.name }}</title></circle>
<text class="number" x="{{ point.label_x }}" y="{{ point.label_y }}" text-anchor="middle">{{ loop.index }}</text>
{% endfor %}
</svg>
<ol class="points">{% for point in section.scatter.points %}<li>{{ point.name }}</li>{% endfor %}</ol>
{% endif %}
{% if section.group_table %}
<h3>Mean average precision by group</h3>
{{ table(section.group_table) }}
{% for group, bars in section.bars %}
<h4>{{ group }}</h4>
<table class="bars">
{% for name, value in bars %}
<tr><td>{{ name }}</td><td><div class="track" role="img" aria-label="{{ '%.3f' | format(value) }}"><div
style="width: {{ '%.1f' | format(100 * value) }}%"></div></div></td><td>{{ '%.3f' | format(value) }}</td></tr>
{% endfor %}
<tr><td></td><td><div class="scale">
{% for at in ("0", "0.25", "0.5", "0.75", "1") %}<span>{{ at }}</span>{% endfor %}
</div></td><td>mAP</td></tr>
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
    label_x: float
    label_y: float


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
        style=report_style(),
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
    shares = [100 * share for *_, share in known]
    left, right = min(exponents) - 0.1, max(exponents) + 0.1
    low, high = 10 * math.floor(min(shares) / 10), 10 * math.ceil(max(shares) / 10)
    high = max(high, low + 10)

    def across(exponent: float) -> float:
        return round(_MARGIN + (_WIDTH - 2 * _MARGIN) * (exponent - left) / (right - left), 1)

    def up(percent: float) -> float:
        return round(_HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * (percent - low) / (high - low), 1)

    places = [(across(exponent), up(share)) for exponent, share in zip(exponents, shares, strict=True)]
    labels = _beside(places)
    speeds = [step * 10.0**power for power in range(math.floor(left), math.ceil(right) + 1) for step in (1, 2, 5)]
    return _Scatter(
        [_Point(row[0], *place, *label) for row, place, label in zip(known, places, labels, strict=True)],
        [_Tick(across(math.log10(speed)), f"{speed:,g}") for speed in speeds if left <= math.log10(speed) <= right],
        [_Tick(up(percent), str(percent)) for percent in range(low, high + 1, 10)],
    )


def _beside(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where the number of each point is written: close to it, and apart from other points and numbers."""
    taken: list[tuple[float, float]] = []
    for x, y in points:
        around = [(x + far * math.cos(angle), y + 4 + far * math.sin(angle))
                  for far in (13.0, 20.0, 28.0) for angle in (0, 3.14, -1.57, 1.57, -0.8, 0.8, -2.4, 2.4)]  # fmt: skip
        others = [*taken, *((px, py + 4) for px, py in points)]
        free = [place for place in around if all(_is_apart(place, other) for other in others)]
        taken.append((free or around)[0])
    return [(round(x, 1), round(y, 1)) for x, y in taken]


def _is_apart(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return abs(one[0] - other[0]) >= 12 or abs(one[1] - other[1]) >= 11
