import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main as cli
from benchmark.commands.average import main
from benchmark.commands.leaderboard import main as leaderboard
from benchmark.errors import UserError
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from benchmark.results.scores import metrics
from tests.generators.ledgers import make_ledger, write_run

NAMES = ("Slow", "Early", "Late")


@pytest.fixture
def members(tmp_path: Path) -> list[str]:
    """Folders of three tests of the same videos."""
    for number, name in enumerate(NAMES):
        ledger = make_ledger(0, model_seed=number, videos=50, failed=0.04 * number, official_videos=50)
        write_run(tmp_path / name, ledger, name=name)
    return [str(tmp_path / name) for name in NAMES]


def test_it_leaves_a_test_that_every_verb_takes(
    members: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, boards = tmp_path / "run", tmp_path / "boards"
    assert main([*members, "--run_dir", str(run)]) == 0
    printed = capsys.readouterr().out
    ledger, record = Ledger.read(run), Record.read(run)
    assert f"{100 * metrics(ledger)['video_hit1']:.1f}%" in printed
    assert "no clip level" in printed
    assert "weights are clean" in printed
    assert cli(["rescore", str(run)]) == 0
    assert "is confirmed" in capsys.readouterr().out
    assert cli(["compare", str(run), members[0]]) == 0
    assert "first: Average of Slow + Early + Late" in capsys.readouterr().out
    boards.mkdir()
    for folder in (*members, str(run)):
        assert cli(["leaderboard", "add", folder, "--root", str(boards)]) == 0
    assert cli(["leaderboard", "build", "--root", str(boards)]) == 0
    assert cli(["leaderboard", "verify", "--root", str(boards)]) == 0, capsys.readouterr().out
    assert record.average is not None
    parts = [Record.read(Path(member)) for member in members]
    assert [m.ledger_sha256 for m in record.average.members] == [part.ledger.sha256 for part in parts]
    assert [m.checkpoint_sha256 for m in record.average.members] == [part.checkpoint.sha256 for part in parts]
    assert [m.weight for m in record.average.members] == [1 / 3] * 3
    assert record.average.weights == "equal"
    assert record.model.parameters == sum(part.model.parameters for part in parts)


def test_an_average_that_its_members_deny_is_caught(
    members: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, boards = tmp_path / "run", tmp_path / "boards"
    assert main([*members, "--run_dir", str(run)]) == 0
    ledger, record = Ledger.read(run), Record.read(run)
    row = int(np.flatnonzero(ledger.scored)[0])
    rows = ledger.table.to_pylist()
    rows[row]["scores"] = np.roll(rows[row]["scores"], 1).tolist()
    edited = Ledger(ledger.info, ledger.table.from_pylist(rows, ledger.table.schema))
    forged = write_run(tmp_path / "forged", edited, name="Forged")
    forged.model_copy(update={"average": record.average}).write(tmp_path / "forged" / "record.json")
    boards.mkdir()
    for folder in (*members, str(tmp_path / "forged")):
        assert cli(["leaderboard", "add", folder, "--root", str(boards)]) == 0
    assert cli(["leaderboard", "build", "--root", str(boards)]) == 0
    capsys.readouterr()
    assert cli(["leaderboard", "verify", "--root", str(boards)]) == 1
    assert "its scores are not the mean of those of its members" in capsys.readouterr().out


def test_it_is_not_reproduced_from_a_checkpoint(members: list[str], tmp_path: Path) -> None:
    assert main([*members, "--run_dir", str(tmp_path / "run")]) == 0
    words = ["reproduce", str(tmp_path / "run"), "--ckpt_path", "some.ckpt"]
    with pytest.raises(UserError, match=r"an average of ledgers.*reproduce its members: Slow, Early, Late"):
        leaderboard(words)


def test_a_contaminated_member_marks_the_average_where_it_is_allowed(members: list[str], tmp_path: Path) -> None:
    path = Path(members[1]) / "record.json"
    held = json.loads(path.read_text("utf-8"))
    held["checkpoint"]["provenance"] = "contaminated"
    path.write_text(json.dumps(held), "utf-8")
    words = [*members, "--run_dir", str(tmp_path / "run")]
    with pytest.raises(UserError, match="Early was trained or validated on videos that it was tested on"):
        main(words)
    assert not (tmp_path / "run").exists()
    assert main([*words, "--allow_contaminated", "true"]) == 0
    assert Record.read(tmp_path / "run").checkpoint.provenance == "contaminated"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--entry_name", "<b>"], "--entry_name is '<b>'"),
        (["--run_dir", "SLOW"], "holds a finished test; name another folder"),
        (["--run_dir", "SLOW/record.json/x"], "cannot be written to|Not a directory"),
        (["--run", "x"], "--run is no option; did you mean --run_dir"),
    ],
)
def test_mistakes_are_one_message(members: list[str], tmp_path: Path, words: list[str], message: str) -> None:
    given = [word.replace("SLOW", members[0]) for word in words]
    with pytest.raises(UserError, match=message):
        main([*members, *given])
