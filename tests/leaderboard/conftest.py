from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmark.leaderboard.board import Board
from benchmark.leaderboard.page import FILE_NAME, PLOTS_FILE_NAME, write_page
from tests.generators.browser import NAMES, chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without a window; for one file, since its event loop would be in other tests' way."""
    program = chromium()
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens the page of some boards; afterwards nothing may have gone wrong or been asked for outside its folder."""
    problems: list[str] = []
    contexts: list[BrowserContext] = []

    def open_page(boards: list[Board], *, width: int = 1280, scheme: Any = "light") -> Page:
        folder = tmp_path / "page"
        write_page(boards, folder)
        own = {(folder / name).as_uri() for name in (FILE_NAME, PLOTS_FILE_NAME)} | {"data:,"}
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: problems.append(dialog.message))
        page.on("request", lambda request: problems.extend({request.url} - own))
        page.goto((folder / FILE_NAME).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []
