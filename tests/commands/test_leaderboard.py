"""The verb `leaderboard` on real tests: add, build, verify, reproduce; and a made-up ledger that stays what it is."""

import csv
import pkgutil
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmark.cli import main
from benchmark.commands.reproduction import largest_difference, recorded_settings
from benchmark.errors import UserError
from benchmark.leaderboard.entries import check_entries
from benchmark.leaderboard.ranking import read_boards
from benchmark.results.ledger import Ledger
from benchmark.results.pins import GREY_LEVELS
from benchmark.results.record import LedgerFile, Record
from benchmark.results.summary import summarise
from tests.generators.keys import needs_openssh, write_key
from tests.generators.ledgers import make_ledger, write_run
from tests.generators.small_test import options


@pytest.fixture
def boards(tested: Path, tmp_path: Path) -> Path:
    """Leaderboards with the real test as their only entry, built."""
    root = tmp_path / "leaderboards"
    assert main(["leaderboard", "add", str(tested), "--root", str(root)]) == 0
    assert main(["leaderboard", "build", "--root", str(root)]) == 0
    return root


@pytest.mark.extra("plotly")
def test_a_real_test_becomes_an_entry(boards: Path, tested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", "verify", "--root", str(boards)]) == 0
    assert "0 problems, 0 not checked" in capsys.readouterr().out
    record = Record.read(tested)
    assert record.metrics["video_hit1"].value is not None
    text = (boards / "README.md").read_text("utf-8")
    assert f"| {100 * record.metrics['video_hit1'].value:.1f} (" in text
    assert "| 32 (100% of the official), 1 failed |" in text
    assert "recomputed" in text
    with (boards / "entries.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert float(row["map"]) == record.metrics["map"].value
    assert row["provenance"] == "clean"
    assert (boards / "index.html").stat().st_size > 1000


@pytest.mark.extra("plotly")
def test_other_pixels_than_the_protocol_s_are_said(
    tested: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By how much they may differ is a limit; at it nothing is said, beyond it everything that is made of it speaks."""
    root, record = tmp_path / "leaderboards", Record.read(tested)
    assert record.pins is not None
    for levels, says in ((GREY_LEVELS, False), (GREY_LEVELS + 0.5, True)):
        run = Path(shutil.copytree(tested, tmp_path / str(levels)))
        pins = record.pins.model_copy(update={"grey_levels": levels, "video": "large.mp4"})
        record.model_copy(update={"pins": pins}).write(run / "record.json")
        shutil.rmtree(root, ignore_errors=True)
        assert main(["leaderboard", "add", str(run), "--root", str(root)]) == 0
        assert main(["leaderboard", "build", "--root", str(root)]) == 0
        assert main(["leaderboard", "verify", "--root", str(root)]) == 0
        said = "was read by pyav, scored in 32-true: frames of the pinned videos differ by 2.5 grey levels (large.mp4)"
        assert (said in capsys.readouterr().out) == says
        assert ("| 1 (pixels differ) |" in (root / "README.md").read_text("utf-8")) == says
        with (root / "entries.csv").open(newline="", encoding="utf-8") as file:
            assert bool(next(csv.DictReader(file))["deviation"]) == says


@pytest.mark.parametrize("name", ["README.md", "entries.csv", "index.html"])
@pytest.mark.extra("plotly")
def test_generated_files_must_be_current(boards: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = boards / name
    path.write_text(path.read_text("utf-8") + "edited\n", "utf-8")
    assert main(["leaderboard", "verify", "--root", str(boards)]) == 1
    assert f"wrong: {name} is not what the entries give" in capsys.readouterr().out
    assert main(["leaderboard", "build", "--root", str(boards)]) == 0
    assert main(["leaderboard", "verify", "--root", str(boards)]) == 0


@needs_openssh
@pytest.mark.extra("plotly")
def test_an_entry_is_reproduced_from_its_files(
    boards: Path, small_set: Path, checkpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ((entry,), _, _) = check_entries(boards)
    folder = boards / entry.entry_id
    arguments = ["leaderboard", "reproduce", str(folder), "--ckpt_path", checkpoint]
    assert main([*arguments, "--videos", "7", "--data_root", str(small_set)]) == 0
    assert "too few for the tier reproduced" in capsys.readouterr().out
    assert read_boards(boards)[0].rows[0].tier == "recomputed"
    key = write_key(boards.parent / "key", boards, "Ann")
    signed = ["--by", "ann", "--key", str(key)]
    assert main([*arguments, *signed, "--data_root", str(small_set)]) == 0  # all 32, fewer than 200
    assert read_boards(boards)[0].rows[0].tier == "reproduced"
    assert read_boards(boards)[0].rows[0].confirmed_by == "Ann"
    assert "| reproduced, confirmed by Ann |" in (boards / "README.md").read_text("utf-8")  # it is built again
    assert main(["leaderboard", "verify", "--root", str(boards)]) == 0


@pytest.mark.extra("plotly")
def test_a_made_up_ledger_never_rises_above_recomputed(
    tested: Path, small_set: Path, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All videos right, every number and hash in agreement: arithmetic finds nothing, scoring the videos does."""
    honest, record = Ledger.read(tested), Record.read(tested)
    labels = honest.labels
    scores = np.full(labels.shape, 0.01, np.float32)
    scores[np.arange(len(labels)), labels.argmax(1)] = 0.85
    column = pa.array([scores[row].tolist() if honest.scored[row] else None for row in range(len(honest))])
    place = honest.table.schema.get_field_index("scores")
    column = column.cast(honest.table.schema.field(place).type)
    made_up = Ledger(honest.info, honest.table.set_column(place, honest.table.schema.field(place), column))
    metrics, decoded = summarise(made_up)
    run = tmp_path / "run"
    ledger = LedgerFile(file="ledger.parquet", sha256=made_up.write(run / "ledger.parquet"))
    record.model_copy(update={"metrics": metrics, "decoded_only": decoded, "ledger": ledger}).write(run / "record.json")
    root = tmp_path / "leaderboards"
    for command in (["add", str(run)], ["build"], ["verify"]):
        assert main(["leaderboard", *command, "--root", str(root)]) == 0
    (row,) = read_boards(root)[0].rows
    assert row.tier == "recomputed"
    assert row.metrics["video_hit1"].value == pytest.approx(31 / 32)
    capsys.readouterr()
    folder = root / row.entry_id
    arguments = ["leaderboard", "reproduce", str(folder), "--ckpt_path", checkpoint, "--data_root", str(small_set)]
    assert main(arguments) == 1
    assert "is not reproduced: the ledger's scores did not come out" in capsys.readouterr().out
    assert not (folder / "reproduction.json").exists()
    assert read_boards(root)[0].rows[0].tier == "recomputed"


@pytest.mark.extra("plotly")
def test_a_page_with_another_version_of_its_plots_is_left_and_called_unchecked(
    boards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, build = boards / "plotly.min.js", ["leaderboard", "build", "--root", str(boards)]
    other = b"/**\n* plotly.js v0.0.1\n*/"
    bundle.write_bytes(other)
    assert main(build) == 0
    assert bundle.read_bytes() == other
    capsys.readouterr()
    assert main(["leaderboard", "verify", "--root", str(boards)]) == 3
    assert "not checked: plotly.min.js is version 0.0.1, and the one" in capsys.readouterr().out
    # What does not say its version, or is not what that version is, is wrong.
    installed = pkgutil.get_data("plotly", "package_data/plotly.min.js") or b""
    for changed in (b"alert(1)", installed + b"alert(1)"):
        bundle.write_bytes(changed)
        assert main(["leaderboard", "verify", "--root", str(boards)]) == 1
        assert "wrong: plotly.min.js is not what the entries give; delete it and run" in capsys.readouterr().out
    bundle.unlink()
    assert main(build) == 0
    assert bundle.read_bytes() == installed
    assert main(["leaderboard", "verify", "--root", str(boards)]) == 0


@pytest.mark.extra("plotly")
def test_another_checkpoint_reproduces_nothing(
    boards: Path, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ((entry,), _, _) = check_entries(boards)
    shutil.copyfile(checkpoint, tmp_path / "other.ckpt")
    with (tmp_path / "other.ckpt").open("ab") as file:
        file.write(b"\0")
    for path in (tmp_path / "other.ckpt", tmp_path / "none.ckpt"):
        arguments = ["leaderboard", "reproduce", str(boards / entry.entry_id), "--ckpt_path", str(path)]
        assert main(arguments) == 2
        assert "is not the checkpoint of this record" in capsys.readouterr().err


def test_ledgers_are_compared_video_by_video() -> None:
    ledger = make_ledger(failed=0.2)
    part = ledger.select(np.array([3, 1, 20]))
    assert largest_difference(ledger, part) == 0
    assert largest_difference(part, ledger) == 1  # videos that the first lacks
    assert largest_difference(ledger, make_ledger(fold=2, failed=0.2)) == 1
    assert largest_difference(ledger, make_ledger(1, failed=0.2)) == 1
    other = make_ledger(model_seed=4, failed=0)
    assert largest_difference(make_ledger(failed=0), other) == pytest.approx(
        np.abs(make_ledger(failed=0).scores - other.scores).max()
    )


def test_what_a_user_can_cause_gets_one_message(
    tmp_path: Path, tested: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        (["add", str(tmp_path)], "there is no record"),
        (["build", "--root", str(tmp_path / "none")], "there is no folder"),
        (["verify", "--root", str(tmp_path / "none")], "there is no folder"),
        (["reproduce", str(tested), "--ckpt_path", "x", "--videos", "0"], "--videos is 0"),
    ):
        assert main(["leaderboard", *arguments]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.extra("plotly")
def test_markdown_and_csv_take_no_text_for_code(tmp_path: Path) -> None:
    write_run(tmp_path / "run", make_ledger(), name="=1+1 [x](http://evil.example) *a* _b_ #c")
    root = tmp_path / "leaderboards"
    for command in (["add", str(tmp_path / "run")], ["build"]):
        assert main(["leaderboard", *command, "--root", str(root)]) == 0
    text = (root / "README.md").read_text("utf-8")
    assert "&#91;x&#93;(http&#58;//evil&#46;example)" in text
    assert "&#42;a&#42; &#95;b&#95; &#35;c" in text
    assert "'=1+1" in (root / "entries.csv").read_text("utf-8")


def test_a_stranger_s_configuration_is_not_run(tested: Path, tmp_path: Path) -> None:
    record = Record.read(tested)
    taken = recorded_settings(record, tmp_path, None, trust_code=False)
    assert set(taken) == {"trainer", "model", "data"}
    assert set(taken["trainer"]) == {"precision"}
    assert taken["data"]["init_args"]["root"] == str(tmp_path)
    for part in ("model", "data"):
        config = {**record.config, part: {"class_path": "os.system", "init_args": {"command": "true"}}}
        with pytest.raises(UserError, match="code from outside this package"):
            recorded_settings(record.model_copy(update={"config": config}), tmp_path, None, trust_code=False)
        with pytest.raises(UserError, match=f"names no {part}"):
            recorded_settings(record.model_copy(update={"config": {**record.config, part: "x"}}), tmp_path, None, False)


def test_a_record_that_calls_seen_weights_clean_is_not_reproduced(
    small_set: Path, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, root = tmp_path / "run", tmp_path / "leaderboards"
    other = options(small_set, run, "--data.fold", "2", "--allow_contaminated", "true")
    assert main(["test", *other, "--ckpt_path", checkpoint]) == 0
    record = Record.read(run)
    lie = record.checkpoint.model_copy(update={"provenance": "clean"})
    record.model_copy(update={"checkpoint": lie}).write(run / "record.json")
    assert main(["leaderboard", "add", str(run), "--root", str(root)]) == 0
    ((entry,), _, _) = check_entries(root)
    arguments = ["leaderboard", "reproduce", str(root / entry.entry_id), "--ckpt_path", checkpoint]
    assert main(arguments) == 2
    assert "pass yours as --data_root" in capsys.readouterr().err
    assert main([*arguments, "--data_root", str(small_set)]) == 2
    assert "the record says that the weights are clean, and the checkpoint that they are contaminated" in (
        capsys.readouterr().err
    )
