import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli import main as cli
from benchmark.commands.average import main
from benchmark.commands.leaderboard import main as leaderboard
from benchmark.errors import UserError
from benchmark.results.clip_scores import ClipScores
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from benchmark.results.scores import metrics
from tests.generators.ledgers import (
    best_rank,
    draw_clips,
    draw_labels,
    ledger_of_clips,
    make_clips,
    make_ledger,
    write_run,
)

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


@pytest.fixture
def with_clips(tmp_path: Path) -> list[str]:
    """Folders of two tests of the same videos that kept their clips, the second far better than the first."""
    folders = []
    for number, skill in enumerate((0.2, 3.0)):
        labels, validated = draw_labels(0, 40, 5), draw_labels(5, 60, 5, several=0)
        probabilities = draw_clips(number + 1, labels, 4, skill=skill)
        order = np.argsort(validated.argmax(1), kind="stable").reshape(5, -1).T.ravel()  # as `make_clips` labels them
        validation = draw_clips(number + 7, validated[order], 2, skill=skill)
        ledger = ledger_of_clips(probabilities, labels, failed=np.arange(40) == 3 + number)
        folders.append(str(tmp_path / f"kept{number}"))
        write_run(Path(folders[-1]), ledger, name=NAMES[number], clips=make_clips(probabilities, ledger, validation))
    return folders


def test_with_scores_of_clips_there_is_a_clip_level(
    with_clips: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main([*with_clips, "--run_dir", str(run)]) == 0
    assert "no clip level" not in capsys.readouterr().out
    found = ClipScores.read(run / "clips.parquet").said("test")
    parts = [ClipScores.read(Path(folder) / "clips.parquet").said("test") for folder in with_clips]
    for name, scores in zip(found.video_ids, found.scores, strict=True):
        each = [part.scores[part.video_ids.index(name)] for part in parts]
        np.testing.assert_allclose(scores, (each[0].astype(float) + each[1]) / 2, rtol=0, atol=1e-7)
    ledger = Ledger.read(run)
    ranks = [best_rank(clip, true) for scores, true in zip(found.scores, found.labels, strict=True) for clip in scores]
    assert ledger.clip_ranks.ravel().tolist() == ranks
    assert list(ledger.failures()) == ["v0003", "v0004"]
    assert cli(["rescore", str(run), "--curve", "true"]) == 0
    assert "the ledger's hash and its clips" in capsys.readouterr().out


def test_weights_are_chosen_on_validation_and_recorded(
    with_clips: list[str], members: list[str], tmp_path: Path
) -> None:
    assert main([*with_clips, "--weights", "validation", "--run_dir", str(tmp_path / "run")]) == 0
    average = Record.read(tmp_path / "run").average
    assert average is not None
    assert average.weights == "validation"
    weights = [member.weight for member in average.members]
    assert sum(weights) == pytest.approx(1)
    assert weights[1] > 0.7
    ledger, parts = Ledger.read(tmp_path / "run"), [Ledger.read(Path(folder)) for folder in with_clips]
    expected = sum(weight * part.scores.astype(float) for weight, part in zip(weights, parts, strict=True))
    np.testing.assert_allclose(ledger.scores, expected, rtol=0, atol=1e-6)
    with pytest.raises(UserError, match="Slow kept no predictions of validation videos"):
        main([*members, "--weights", "validation", "--run_dir", str(tmp_path / "other")])
