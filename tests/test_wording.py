"""Counted things, and lines as wide as a terminal."""

import io

import pytest

from benchmark.cli import main
from benchmark.wording import counted, wrapped


@pytest.mark.parametrize(
    ("count", "one", "said"),
    [
        (0, "video", "0 videos"),
        (1, "video", "1 video"),
        (2, "class", "2 classes"),
        (1, "class", "1 class"),
        (2, "batch", "2 batches"),
        (3, "process", "3 processes"),
        (2, "copy", "2 copies"),
        (2, "key", "2 keys"),
        (1200, "epoch", "1,200 epochs"),
    ],
)
def test_one_and_several(count: int, one: str, said: str) -> None:
    assert counted(count, one) == said


def test_what_follows_agrees_with_the_number() -> None:
    assert counted(1, "video has", "videos have") == "1 video has"
    assert counted(2, "video has", "videos have") == "2 videos have"


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_lines_fit_a_terminal_and_stay_whole_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/a/" + "very_" * 20 + "long.ckpt"
    text = f"clipbench: {'a word ' * 30}{path}\nnext line"
    assert wrapped(text, io.StringIO()) == text
    for columns in (40, 80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = wrapped(text, Terminal()).splitlines()
        assert all(len(line) < columns or line.strip() == path for line in lines)
        assert lines[-1] == "next line"
        assert " ".join(" ".join(lines).split()) == " ".join(text.split())  # nothing is lost, no word is broken
        assert all(line.startswith("  ") for line in lines[1:-1])


def test_a_refusal_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    said = Terminal()
    monkeypatch.setattr("sys.stderr", said)
    assert main(["fti"]) == 2
    lines = said.getvalue().splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) < 60
