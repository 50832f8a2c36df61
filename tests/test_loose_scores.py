"""A score of the user's own file, as CONTRIBUTING shows it, in everything that shows a score."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.generators.forked import forked
from tests.generators.small_test import options

ROOT = Path(__file__).resolve().parents[1]
SCORES = ("--scores", "my_scores.CONFIDENCE")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def write_scores(folder: Path) -> None:
    """Save the file that CONTRIBUTING's recipe shows."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    recipe = re.search(r"Save this as `my_scores\.py`.*?```python\n(.*?)```", text, re.DOTALL)
    assert recipe is not None
    (folder / "my_scores.py").write_text(recipe[1], "utf-8")


@pytest.mark.extra("plotly")
@pytest.mark.timeout(600)
def test_a_score_of_ones_own_is_everywhere(small_set: Path, tmp_path: Path) -> None:
    write_scores(tmp_path)
    code, out, err = forked(tmp_path, "fit", *options(small_set, tmp_path / "run"), *SCORES)
    assert code == 0, err
    line = " ".join(out.partition("epoch 1 ")[2].split())  # which a narrow terminal breaks
    for shown in ("balanced ", "ECE 0.", "confidence 0."):
        assert shown in line
    checkpoint = ["--ckpt_path", "last"]
    code, _, err = forked(tmp_path, "test", *options(small_set, tmp_path / "run"), *checkpoint, *SCORES)
    assert code == 0, err
    record = json.loads((tmp_path / "run/record.json").read_text("utf-8"))
    value = record["metrics"]["confidence"]["value"]
    assert 0 < value < 1
    assert record["metrics"]["ece"]["low"] is not None
    code, out, _ = forked(tmp_path, "rescore", "run", *SCORES)
    assert code == 0
    assert re.search(rf"mean confidence +{value:.3f}", out)
    assert "calibration error (ECE)" in out
    assert "is confirmed" in out
    code, out, _ = forked(tmp_path, "compare", "run", "run", *SCORES)
    assert code == 0
    assert re.search(rf"mean confidence +{value:.3f} +{value:.3f} +\+0\.000", out)
    code, _, err = forked(tmp_path, "leaderboard", "add", "run", "--root", "boards", *SCORES)
    assert code == 0, err
    assert forked(tmp_path, "leaderboard", "build", "--root", "boards", *SCORES)[0] == 0
    assert "mean confidence" in (tmp_path / "boards/README.md").read_text("utf-8")
    assert "confidence,confidence_low,confidence_high" in (tmp_path / "boards/entries.csv").read_text("utf-8")
    assert '"title":"Mean confidence"' in (tmp_path / "boards/index.html").read_text("utf-8")
    code, out, _ = forked(tmp_path, "leaderboard", "verify", "--root", "boards", *SCORES)
    assert code == 0, out
    # Without the file nobody can say whether its number is right.
    code, out, _ = forked(tmp_path, "leaderboard", "verify", "--root", "boards")
    assert code == 1
    assert "it has confidence, which the ledger does not give" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scores", "my_scores.CERTAINTY"], "has no score of that name; it has CONFIDENCE"),
        (["--scores", "nowhere.SCORE"], "there is no module nowhere in"),
        (["--scores"], "--scores names no score"),
        (["--scores", "taken"], "there is a score called map already"),
        (
            ["--scores", "no_function"],
            "no_function cannot be imported: ValueError: the score mine must be given either",
        ),
    ],
)
def test_a_score_that_is_not_there_is_refused(words: list[str], message: str, tmp_path: Path) -> None:
    write_scores(tmp_path)
    head = "from benchmark.metrics import Score\n"
    (tmp_path / "taken.py").write_text(f'{head}MAP = Score("map", "a", "a", lambda known: 0.5)\n', "utf-8")
    (tmp_path / "no_function.py").write_text(f'{head}MINE = Score("mine", "a", "a")\n', "utf-8")
    code, _, err = forked(tmp_path, "rescore", "run", *words)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
