"""Strings that would do something on a page if they were taken for anything but text."""

import html.parser
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from benchmark.leaderboard.page import FILE_NAME, embedded_json, write_page
from tests.generators.boards import hostile_board, sample_boards
from tests.generators.browser import cells, choose, draw_plots

pytestmark = pytest.mark.extra("plotly")

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<img src=x onerror=alert(3)>",
    "<!--<script>",
    "javascript:alert(4)",
    '<a href="javascript:alert(5)">here</a><b>bold</b>&lt;&amp;',
    "\u2028\u2029'\"`${alert(6)}{{ 7 * 7 }}%{x}",
    "https://example.org/<svg onload=alert(8)>",
)


class _Elements(html.parser.HTMLParser):
    """Names of all elements, and the text of the scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_data(self, data: str) -> None:
        if self.names and self.names[-1] == "script" and data.strip():
            self.scripts.append(data)


def test_hostile_strings_end_no_element(tmp_path: Path) -> None:
    write_page([hostile_board(text) for text in HOSTILE], tmp_path)
    elements = _Elements()
    elements.feed((tmp_path / FILE_NAME).read_text("utf-8"))
    assert elements.names.count("script") == 2
    assert [board["rows"][0]["name"] for board in json.loads(elements.scripts[0])["boards"]] == list(HOSTILE)


def test_embedded_json_is_harmless_and_whole() -> None:
    text = embedded_json([*HOSTILE, "\ud800"])
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == [*HOSTILE, "\ud800"]


def test_hostile_strings_are_text(visit: Callable[..., Page]) -> None:
    page = visit([hostile_board(text) for text in HOSTILE])
    assert cells(page, "name") == [text.strip() for text in HOSTILE for _ in range(2)]
    strays = "main :is(script, img, iframe, object, embed, #table b, #table svg, .compare a, .js-plotly-plot a)"
    for number, text in enumerate(HOSTILE):
        choose(page, 2 * number, 2 * number + 1)
        draw_plots(page)
        page.select_option("#plot-board", index=number)
        page.wait_for_function(
            "text => groups.data[0].name.startsWith(plain(text).slice(0, 10)) && groups.data.length === 2", arg=text
        )
        bar = page.locator("#groups .bars path").first.bounding_box()
        assert bar is not None
        page.mouse.move(0, 0)
        page.mouse.move(bar["x"] + 5, bar["y"] + 5)
        page.wait_for_selector("#groups .hoverlayer text")
        drawn = (page.locator("#groups").text_content() or "").replace("\xa0", " ")
        assert " ".join(text.split())[:16] in " ".join(drawn.split())
        assert text.strip() in page.locator(".compare").inner_text()
        assert page.locator(strays).count() == 0


def test_the_policy_stops_what_would_get_in_all_the_same(browser: Browser, tmp_path: Path) -> None:
    write_page(sample_boards(), tmp_path)
    page = browser.new_page()
    page.goto((tmp_path / FILE_NAME).as_uri())
    page.evaluate(
        """() => {
            document.body.insertAdjacentHTML("beforeend", "<img src='data:,x' onerror='window.hacked = 1'>");
            const inline = document.createElement("script");
            inline.textContent = "window.hacked = 2";
            const far = document.createElement("script");
            far.src = "data:text/javascript,window.hacked=3";
            document.body.append(inline, far);
        }"""
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    page.close()
