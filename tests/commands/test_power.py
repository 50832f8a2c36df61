from pathlib import Path

import pytest

from benchmark.commands.power import main
from benchmark.errors import UserError
from benchmark.results.ledger import FILE_NAME
from benchmark.results.power import Disagreement, sources_to_detect
from tests.generators.ledgers import make_ledger


def test_sizes_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--difference", "3"]) == 0
    out = capsys.readouterr().out
    assert f" {sources_to_detect(Disagreement(0.2, 5, 0.4), 0.03):,} " in out
    assert "show them the same within 3 points" in out
    assert main(["--difference", "0.0001"]) == 0
    assert "over 10,000,000" in capsys.readouterr().out


def test_models_like_two_that_were_tested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("a", 1), ("b", 8)):
        make_ledger(0, model_seed=seed, videos=60).write(tmp_path / name / FILE_NAME)
    assert main(["--difference", "3", "--like", f"[{tmp_path / 'a'}, {tmp_path / 'b'}]"]) == 0
    assert "3.0 videos a source" in capsys.readouterr().out
    with pytest.raises(UserError, match="right on the same videos"):
        main(["--difference", "3", "--like", f"[{tmp_path / 'a'}, {tmp_path / 'a'}]"])
    with pytest.raises(UserError, match="names 1 test;"):
        main(["--difference", "3", "--like", f"[{tmp_path / 'a'}]"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--difference", "0"], "--difference is 0"),
        (["--difference", "30"], "disagree on 20.0% of the videos"),
        (["--difference", "3", "--disagreement", "200"], "--disagreement is 200"),
        (["--difference", "3", "--probability", "100"], "--probability is 100"),
        (["--difference", "3", "--dependence", "2"], "--dependence is 2"),
        (["--difference", "3", "--videos_per_source", "0.5"], "--videos_per_source is 0.5"),
    ],
)
def test_what_cannot_be_is_refused(options: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        main(options)
