"""Draws docs/leaderboard.png, the leaderboards' page at UCF-101, and writes the same board's table into README.md.

Needs Chromium and playwright.
"""

import re
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmark.leaderboard.board import Board
from benchmark.leaderboard.ranking import read_boards
from tests.generators.browser import chromium

ROOT = Path(__file__).resolve().parents[1]
TABLE = re.compile(r"^\| network \| video Hit@1.*?(?=^\n)", re.DOTALL | re.MULTILINE)


def table(board: Board) -> str:
    """The board's rows that were trained on its own classes, in Markdown."""
    lines = ["| network | video Hit@1 in % (95% interval) | mAP | GFLOP a clip | parameters |", "|---|---|---|---|---|"]
    for row in board.rows:
        if "train" in row.name or row.parameters is None:  # claims have none
            continue
        hit, average = row.metrics["video_hit1"], row.metrics["map"]
        area = "" if hit.low is None or hit.high is None else f" ({100 * hit.low:.1f} to {100 * hit.high:.1f})"
        cost = f"{'-' if row.gflop_per_clip is None else f'{row.gflop_per_clip:.2f}'} | {row.parameters:,}"
        lines.append(f"| {row.name} | {100 * hit.value:.1f}{area} | {average.value:.3f} | {cost} |")
    return "\n".join(lines) + "\n"


def board() -> Board:
    """Six classes of UCF-101, fold 1."""
    return next(b for b in read_boards(ROOT / "leaderboards") if str(b.identity) == "UCF-101 fold 1, 6 chosen classes")


if __name__ == "__main__":
    text = (ROOT / "README.md").read_text("utf-8")
    (ROOT / "README.md").write_text(TABLE.sub(lambda _: table(board()), text), "utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": 1280, "height": 860}, device_scale_factor=1.5, reduced_motion="reduce"
        )
        page.goto((ROOT / "leaderboards/index.html").as_uri())
        page.get_by_label("Dataset").select_option(label="UCF-101")
        page.evaluate("document.getElementById('boards-title').scrollIntoView()")
        page.wait_for_function("window.scrollY > 0")
        page.screenshot(path=str(ROOT / "docs/leaderboard.png"))
        browser.close()
