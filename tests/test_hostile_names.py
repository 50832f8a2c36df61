"""Names from other people's files reach a terminal, a table or a board as text, or not at all."""

import sys
from pathlib import Path

import pyarrow as pa
import pytest

from benchmark.cli import main
from benchmark.errors import printable
from benchmark.results.csv_cells import plain_cell
from benchmark.results.fields import _plain
from benchmark.runs.predictions import _for_spreadsheets

ESCAPES = "\x1b]0;owned\x07\x1b[2J"


@pytest.mark.parametrize(
    "name",
    [
        "a" + "\u0301" * 150,
        *("\u3164", "\u2800", "\u115f\u1160", "\uffa0", "\u00ad", "\u180e", "\ufe0f", " ", "\u2003"),
        *("a\u202eb", "a\U000e0041b", "a\ue000", "\ud800", "\u0301", "\u200d"),
    ],
)
def test_names_that_nobody_can_read_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is blank, too long"):
        _plain(name)


@pytest.mark.parametrize(
    "name",
    [
        *("Slow fusion, 2x", "Fusión", "融合网络", "Tiếng Việt", "שָׁלוֹם", "cafe\u0301", "π²"),
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a sign that parts two letters
    ],
)
def test_names_of_all_languages_are_fine(name: str) -> None:
    assert _plain(name) == name


def test_a_message_with_escape_codes_does_nothing_to_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rescore", str(tmp_path / f"x{ESCAPES}")]) == 2
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\\x1b]0;owned" in shown


def test_printable_keeps_text() -> None:
    assert printable("a é 融") == "a é 融"
    assert printable(ESCAPES).isprintable()


@pytest.mark.parametrize("name", ['=HYPERLINK("http://x")', "+1", "-1", "@x", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(name: str) -> None:
    assert plain_cell(name) == f"'{name}"
    table = _for_spreadsheets(pa.table({"video": [name, "a.mp4", None], "p": [0.5, 0.25, None]}))
    assert table.to_pydict() == {"video": [f"'{name}", "a.mp4", None], "p": [0.5, 0.25, None]}


def test_numbers_stay_numbers() -> None:
    assert plain_cell(-1.5) == -1.5
    assert plain_cell(None) is None
    assert sys.maxsize == plain_cell(sys.maxsize)
