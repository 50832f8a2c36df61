"""An installed Chromium, and what tests ask of the page in it."""

import shutil

from playwright.sync_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ROWS = "#table tbody tr:not(.head)"


def chromium() -> str | None:
    """Path of the program, if it is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def cells(page: Page, key: str) -> list[str]:
    """What stands in a column of the rows that are shown, without intervals and repeated marks."""
    found: list[str] = page.evaluate(
        """([rows, key]) => [...document.querySelectorAll(rows)].filter((row) => row.checkVisibility()).map((row) => {
            const cell = row.querySelector(`.c-${key}`).cloneNode(true);
            cell.querySelectorAll(".interval, .mark[aria-hidden]").forEach((part) => part.remove());
            return cell.textContent.trim();
        })""",
        [ROWS, key],
    )
    return found


def choose(page: Page, *numbers: int) -> None:
    """Tick the boxes of some rows, counted from 0."""
    for number in numbers:
        page.locator(f"{ROWS} input").nth(number).check()


def draw_plots(page: Page) -> None:
    """Scroll to each plot and wait for it."""
    for name in ("scatter", "groups"):
        page.locator(f"[data-plot={name}]").scroll_into_view_if_needed()
        page.wait_for_selector(f"#{name} .main-svg", timeout=60_000)
