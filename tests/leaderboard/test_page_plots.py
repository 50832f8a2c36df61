"""The page's plots in a real browser: what they hold, and when they are drawn."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from benchmark.leaderboard.board import Row
from tests.generators.boards import GROUPS, sample_boards
from tests.generators.browser import draw_plots

pytestmark = pytest.mark.extra("plotly")

Open = Callable[..., Page]


def front(rows: tuple[Row, ...]) -> list[tuple[float, float]]:
    """Work and accuracy in percent of the entries that none beats in both, most work first, by comparing all pairs."""
    able = [
        (row.gflop_per_clip or 0, 100 * (row.metrics["video_hit1"].value or 0))
        for row in rows
        if row.provenance != "contaminated" and row.tier != "claimed"
    ]
    best = [(x, y) for x, y in able if not any(a <= x and b >= y and (a, b) != (x, y) for a, b in able)]
    return sorted(best, reverse=True)


def test_plots_hold_the_shown_entries_and_the_front(visit: Open) -> None:
    boards = sample_boards()
    page, rows = visit(boards), boards[0].rows
    draw_plots(page)
    drawn = page.evaluate("scatter.data.map(({ name, x, y }) => [name, x, y])")
    assert sorted(x for _, xs, _ in drawn[1:] for x in xs) == sorted(row.gflop_per_clip or 0 for row in rows)
    assert list(zip(*drawn[0][1:], strict=True)) == [(x, pytest.approx(y)) for x, y in front(rows)]
    assert page.evaluate("groups.data.map(({ name }) => name)") == [row.name for row in rows[:5]]
    assert page.evaluate("groups.layout.yaxis.ticktext") == list(GROUPS)
    assert page.locator("#groups .bars .point").count() == 5 * len(GROUPS)

    page.select_option("#plot-board", index=1)
    page.wait_for_function("() => groups.data.length === 3")
    page.select_option("#filter-dataset", label="Sports-1M")
    page.wait_for_function("() => groups.hidden && scatter.hidden")
    assert "No entry" in page.inner_text("#front-text")
    page.click("#clear-filters")
    page.locator("[data-plot=scatter]").scroll_into_view_if_needed()
    page.wait_for_function("() => !scatter.hidden && groups.data.length === 3")  # back on the board that was chosen


def test_a_click_on_a_point_chooses_its_entry(visit: Open) -> None:
    page = visit(sample_boards())
    draw_plots(page)
    page.locator("#scatter").scroll_into_view_if_needed()
    point = page.locator("#scatter .points path").first.bounding_box()
    assert point is not None
    page.mouse.click(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    page.wait_for_function("() => state.chosen.length === 1")


def test_plots_are_drawn_again_only_if_what_they_show_changes(visit: Open) -> None:
    page = visit(sample_boards())
    draw_plots(page)
    page.wait_for_timeout(300)
    page.evaluate(
        """() => { window.drawn = []; const draw = Plotly.react;
            Plotly.react = (id, ...rest) => (drawn.push(id), draw(id, ...rest)); }"""
    )
    page.select_option("#filter-fold", label="Fold 1")  # the plots show fold 1 anyway
    page.locator("thead .c-rank button").dblclick()
    page.evaluate("() => groups.scrollIntoView()")
    page.wait_for_timeout(400)
    assert page.evaluate("drawn") == []
    page.evaluate("() => choose(entries[3], true)")
    page.wait_for_function("() => drawn.length > 0")
    page.wait_for_timeout(300)
    assert page.evaluate("drawn") == ["groups"]


def test_plots_follow_the_colour_scheme(visit: Open) -> None:
    page = visit(sample_boards())
    draw_plots(page)
    light = page.evaluate("scatter.layout.font.color")
    page.locator("[data-plot=scatter]").scroll_into_view_if_needed()  # out of view it would be drawn later
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("light => scatter.layout.font.color !== light", arg=light)
