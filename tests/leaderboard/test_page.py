"""The page in a real browser: what its table shows, and how mouse, keyboard and phone work it."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from benchmark.errors import UserError
from benchmark.leaderboard.board import Board, Link, Row
from benchmark.leaderboard.page import FILE_NAME, PLOTS_FILE_NAME, write_page
from benchmark.results.record import Value
from tests.generators.boards import GROUPS, hostile_board, large_board, sample_boards
from tests.generators.browser import ROWS, cells, choose, draw_plots

pytestmark = pytest.mark.extra("plotly")

ROOT = Path(__file__).resolve().parents[2]
MISSING = "\u2013"

Open = Callable[..., Page]


def shown_percent(row: Row, metric: str) -> str:
    held = row.metrics.get(metric)
    return MISSING if held is None or held.value is None else f"{100 * held.value:.1f}"


def all_rows(boards: list[Board]) -> list[Row]:
    return [row for board in boards for row in board.rows]


@pytest.mark.parametrize("is_timed", [True, False])
@pytest.mark.parametrize("scores", [(), ("ece",), ("balanced_accuracy", "ece")])
def test_a_row_is_one_line_whichever_columns_there_are(visit: Open, is_timed: bool, scores: tuple[str, ...]) -> None:
    def changed(row: Row) -> Row:
        metrics = {**row.metrics, **dict.fromkeys(scores, Value.of(0.5))}
        return dataclasses.replace(row, metrics=metrics, clips_per_second=row.clips_per_second if is_timed else None)

    page = visit([dataclasses.replace(board, rows=tuple(map(changed, board.rows))) for board in sample_boards()])
    lines = page.evaluate(
        "() => [...document.querySelectorAll('#table tr:not(.head)')]"
        ".map((row) => getComputedStyle(row).gridTemplateRows.split(' ').length)"
    )
    assert set(lines) == {1}
    assert ("clips/s" in page.locator("#table thead").inner_text()) == is_timed


def test_numbers_are_rounded_as_in_the_tables_beside_the_page(visit: Open) -> None:
    page = visit(sample_boards())
    values = [31.25, 31.75, 31.35, 31.85, 0.125, 12.5, 0.0625, 100 / 3, 87.5, 0.5, -31.25]
    for digits in (0, 1, 2, 3):
        shown = page.evaluate(f"values => values.map(value => fixed(value, {digits}))", values)
        assert shown == [f"{value:.{digits}f}".replace("-", "\u2212") for value in values]


def test_the_table_says_what_the_boards_say(visit: Open) -> None:
    boards = sample_boards()
    page, rows = visit(boards), all_rows(boards)
    assert cells(page, "name") == [row.name for row in rows]
    assert cells(page, "tier") == [row.tier for row in rows]
    assert cells(page, "rank") == [str(row.rank or MISSING) for row in rows]
    for metric in ("video_hit1", "video_hit5", "clip_hit1"):
        assert cells(page, metric) == [shown_percent(row, metric) for row in rows]
    assert cells(page, "map")[0] == f"{rows[0].metrics['map'].value:.3f}"
    assert cells(page, "provenance") == [row.provenance or MISSING for row in rows]
    assert cells(page, "failed")[:4] == ["0", "0", "0", "3"]
    assert cells(page, "speed")[:3] == ["221", "148", "96.4"]
    assert cells(page, "parameters")[0] == "6.9 M"
    assert page.locator(".interval").nth(1).text_content() == "[89.3, 94.3]"
    assert page.locator(".mark.contaminated").count() == page.locator(".mark.unknown").count() == 2
    assert page.locator("tr.head").nth(2).text_content() == (
        "UCF101 fold 1, 3 chosen classes class subset5 clips of 16 frames, 200x200, centre view, mean probability, "
        "sampler seed 2014 b7d022663 entriesChosen classesArchery, Bowling, Fencing"
    )
    assert page.locator(".mark.subset").count() == 1
    assert "proves the arithmetic only" in page.locator(".reading").inner_text()


def test_sorting_keeps_boards_together_and_unknowns_last(visit: Open) -> None:
    boards = sample_boards()
    page = visit(boards)
    assert page.locator("[aria-sort]").get_attribute("class") == "c-rank number"
    columns: dict[str, Callable[[Row], Any]] = {
        "rank": lambda row: row.rank,
        "name": lambda row: row.name,
        "tier": lambda row: ("reproduced", "recomputed", "claimed").index(row.tier),
        "video_hit1": lambda row: row.metrics["video_hit1"].value,
        "map": lambda row: row.metrics["map"].value,
        "speed": lambda row: row.clips_per_second,
        "parameters": lambda row: row.parameters,
        "held": lambda row: row.held_share,
    }
    for key, value in columns.items():
        header = page.locator(f"thead .c-{key}")
        for _ in range(2):
            header.locator("button").click()
            direction = header.get_attribute("aria-sort")
            assert direction in ("ascending", "descending")
            assert page.locator("[aria-sort]").count() == 1
            expected = []
            for board in boards:
                known = [row for row in board.rows if value(row) is not None]
                known.sort(key=value, reverse=direction == "descending")
                expected += [*known, *(row for row in board.rows if value(row) is None)]
            assert cells(page, "name") == [row.name for row in expected], (key, direction)


def test_filters(visit: Open) -> None:
    boards = sample_boards()
    page, total = visit(boards), len(all_rows(boards))
    filters: tuple[tuple[str, str, Callable[[Board, Row], bool]], ...] = (
        ("dataset", "UCF101", lambda board, row: board.identity.dataset == "UCF101"),
        ("protocol", "Claims, not checkable", lambda board, row: board.protocol_hash is None),
        ("fold", "Fold 2", lambda board, row: board.identity.fold == 2),
        ("fold", "No fold", lambda board, row: board.identity.fold is None),
        ("classes", "All classes", lambda board, row: board.identity.classes is None),
        ("tier", "claimed", lambda board, row: row.tier == "claimed"),
        ("tier", "recomputed", lambda board, row: row.tier == "recomputed"),
        ("tier", "reproduced", lambda board, row: row.tier == "reproduced"),
    )
    for name, label, holds in filters:
        page.select_option(f"#filter-{name}", label=label)
        expected = [row.name for board in boards for row in board.rows if holds(board, row)]
        assert cells(page, "name") == expected
        assert f"{len(expected)} of {total} entries" in page.inner_text("#status")
        page.click("#clear-filters")
        assert len(cells(page, "name")) == total


def test_filters_add_up_and_may_leave_nothing(visit: Open) -> None:
    page = visit(sample_boards())
    page.select_option("#filter-dataset", label="SyntheticActions-v1")
    page.fill("#filter-name", " SLOW ")
    assert cells(page, "name") == ["Slow fusion, multires", "Slow fusion"] * 2
    page.select_option("#filter-tier", label="claimed")
    assert cells(page, "name") == []
    assert page.locator("#nothing").inner_text() == "No entry matches these filters."


def test_decoded_only_changes_entries_with_failed_videos_alone(visit: Open) -> None:
    boards = sample_boards()
    page = visit(boards)
    before = cells(page, "video_hit1")
    page.check("#decoded-only")
    after = cells(page, "video_hit1")
    decoded = boards[0].rows[3].decoded_only
    assert decoded is not None
    assert after[3] == f"{100 * (decoded['video_hit1'].value or 0):.1f}" != before[3]
    assert [*after[:3], *after[4:]] == [*before[:3], *before[4:]]
    page.uncheck("#decoded-only")
    assert cells(page, "video_hit1") == before


def test_two_entries_side_by_side(visit: Open) -> None:
    page = visit(sample_boards())
    page.get_by_label("Compare Slow fusion, multires").first.check()
    assert page.locator("#compare-box").is_hidden()
    page.get_by_label("Compare Early fusion").first.check()
    lines = {line.split("\t")[0]: line.split("\t")[1:] for line in page.locator(".compare").inner_text().splitlines()}
    assert lines["Video Hit@1, %"] == ["91.8 [89.3, 94.3]", "87.3 [84.8, 89.8]", "+4.5 pts"]
    assert lines["clips/s"] == ["148", "187", "0.79\u00d7"]
    assert {f"mAP, {group}" for group in GROUPS} <= set(lines)
    assert "python -m benchmark compare" in page.locator("#compare").inner_text()

    page.get_by_label("Compare Feature histograms + neural net").check()  # takes the first one's place
    assert page.locator(f"{ROWS} input:checked").count() == 2
    assert "different boards" in page.locator("#compare-box").inner_text()
    assert "Difference" not in page.locator("#compare-box").inner_text()
    page.click("#tray-clear")
    assert page.locator(f"{ROWS} input:checked").count() == 0
    assert page.locator("#tray").is_hidden()
    assert page.locator("#compare-box").is_hidden()


def test_everything_by_keyboard(visit: Open) -> None:
    page = visit(sample_boards())
    focused = "document.activeElement.id || document.activeElement.textContent"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Skip to the boards"
    page.keyboard.press("Enter")
    for _ in range(4):  # the table's box, then three columns' headers
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.locator("thead .c-tier").get_attribute("aria-sort") == "ascending"
    page.locator(f"{ROWS} input").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.locator("#tray-compare").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == "compare-title"
    page.locator("#filter-fold").focus()
    page.keyboard.press("ArrowDown")
    assert len(cells(page, "name")) == 13


def test_every_control_has_a_name(visit: Open) -> None:
    page = visit(sample_boards())
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input, select, button, a, [role=region]")].filter((control) =>
            !control.ariaLabel && !control.labels?.length && !control.textContent.trim()
            && !document.getElementById(control.getAttribute("aria-labelledby"))).map((control) => control.outerHTML)"""
    )
    assert nameless == []


def luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_in_both_schemes(visit: Open, scheme: str) -> None:
    page = visit(sample_boards(), scheme=scheme)
    choose(page, 0, 1)
    pairs = page.evaluate(
        """() => [...document.querySelectorAll("body *")].filter((one) =>
            one.checkVisibility() && one.tagName !== "OPTION"
            && [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())).map((one) => {
            const ground = (some) => getComputedStyle(some ?? document.body).backgroundColor;
            let behind = one;
            while (behind && ground(behind) === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
            return [one.textContent, getComputedStyle(one).color, ground(behind)];
        })"""
    )
    assert len(pairs) > 200
    for text, colour, ground in pairs:
        lighter, darker = sorted((luminance(colour), luminance(ground)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, colour, ground)
    assert (luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) < 0.1) == (scheme == "dark")


@pytest.mark.parametrize("boards", [sample_boards(), [hostile_board("W" * 200)]], ids=["sample", "long words"])
def test_a_phone_scrolls_the_table_not_the_page(visit: Open, boards: list[Board]) -> None:
    page = visit(boards, width=360)
    choose(page, 0, 1)
    draw_plots(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("byId('table-box').scrollWidth > byId('table-box').clientWidth")
    assert page.evaluate("byId('compare-box').scrollWidth <= byId('compare-box').clientWidth")


def test_a_row_leads_to_its_files_and_addresses_alone(visit: Open) -> None:
    links = {
        "record": "made/fold1/one/record.json",
        "code": "https://example.org/tree/1a2b",
        "date": None,
        "script": "javascript:alert(1)",
        "above": "made/../../secret",
        "root": "/etc/passwd",
        "elsewhere": "//example.org/x",
        "plain": "http://example.org/x",
    }
    (board, *rest) = sample_boards()
    row = dataclasses.replace(board.rows[0], links=tuple(Link(*pair) for pair in links.items()))
    page = visit([dataclasses.replace(board, rows=(row,)), *rest])
    held = page.locator(f"{ROWS} .links").first
    assert held.inner_text() == " \u00b7 ".join(links)
    addresses = held.locator("a").evaluate_all("all => all.map((a) => [a.textContent, a.getAttribute('href')])")
    assert addresses == [[name, links[name]] for name in ("record", "code")]


def test_a_desktop_has_one_scrollbar_and_sees_the_front_first(visit: Open) -> None:
    page = visit(sample_boards(), width=1280)
    fits = (
        "(() => [table.offsetWidth <= byId('table-box').clientWidth, getComputedStyle(byId('table-box')).overflowY])()"
    )
    page.wait_for_function("() => byId('table-box').classList.contains('fits')")
    assert page.evaluate(fits) == [True, "visible"]
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    assert page.evaluate("Boolean(scatter.compareDocumentPosition(table) & Node.DOCUMENT_POSITION_FOLLOWING)")
    # On a phone it scrolls in its box again.
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function("() => !byId('table-box').classList.contains('fits')")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_thousand_entries(visit: Open) -> None:
    board = large_board(1000)
    page = visit([board])
    assert cells(page, "name") == [row.name for row in board.rows]
    page.select_option("#filter-tier", label="claimed")
    assert len(cells(page, "name")) == 333
    page.fill("#filter-name", "0998")
    assert cells(page, "name") == ["Network 0998"]
    page.click("#clear-filters")
    page.locator("thead .c-speed button").click()
    speeds = [row.clips_per_second or 0 for row in board.rows]
    assert cells(page, "name")[0] == board.rows[speeds.index(max(speeds))].name
    draw_plots(page)
    assert page.evaluate("scatter.data.slice(1).reduce((sum, { x }) => sum + x.length, 0)") == 1000
    assert page.evaluate("groups.data.length") == 5


def test_no_entry_at_all(visit: Open) -> None:
    page = visit([])
    assert page.inner_text("#nothing") == "There is no entry yet."
    page.locator("#cost-title").scroll_into_view_if_needed()
    page.wait_for_function("() => byId('groups-text').textContent.startsWith('No entry')")


def test_equal_boards_give_equal_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_page(sample_boards(), tmp_path / folder)
    for name in (FILE_NAME, PLOTS_FILE_NAME):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_published_page_has_the_bundle_of_plotly_7_1_0() -> None:
    bundle = (ROOT / "leaderboards" / PLOTS_FILE_NAME).read_bytes()
    assert bundle.startswith(b"/**\n* plotly.js v4.1.1\n")
    assert hashlib.sha256(bundle).hexdigest() == "3b6e15d45dbb7fca5bd2094291e961ddc5472cd887009e6009a56dab668d721f"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="give another folder"):
        write_page([], tmp_path / "file")
