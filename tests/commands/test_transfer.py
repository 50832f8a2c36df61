"""Small grids: most run in this process, one in processes of its own that are killed."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.cli import main
from benchmark.files import file_hash
from benchmark.leaderboard.entries import check_entries
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from tests.generators.transfer_grids import InProcess, write_config
from tests.transfer.test_carrying import Plugin

ROOT = Path(__file__).resolve().parents[2]


class Weighted(Plugin):
    """Begins with the weights of a file, as the adapters of libraries do."""

    def __init__(self, num_classes: int, *, weights: Path | None = None) -> None:
        super().__init__(num_classes)
        self.weights = weights


def tables(folder: Path) -> list[str]:
    return [(folder / f"transfer.{ending}").read_text("utf-8") for ending in ("md", "csv", "svg")]


@pytest.mark.extra("matplotlib")
def test_a_grid_killed_in_the_middle_and_resumed_gives_the_tables_of_one_that_was_not(
    small_set: Path, pretrained: str, tmp_path: Path, verbs: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(write_config(tmp_path, small_set))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    call = ["transfer", "--config", config, "--pretrained", pretrained, "--run_dir"]
    assert main([*call, str(whole)]) == 0
    shown = capsys.readouterr().out
    assert "Table 3" in shown
    assert "top layer retrained less trained from scratch" in shown
    verbs.ran.clear()

    verbs.dies_at = "test top-fold2-seed0"
    assert main([*call, str(broken)]) == 130
    assert capsys.readouterr().err == "clipbench: stopped; the same command goes on from here\n"
    assert main(["transfer", "--config", config, "--pretrained", pretrained, "--run_dir", str(broken), "--list"]) == 0
    assert [line.split()[4] for line in capsys.readouterr().out.splitlines()[-4:-2]] == ["finished", "unfinished"]
    assert main([*call, str(broken), "--tables"]) == 1
    assert "1 of 4 cells are finished" in capsys.readouterr().out
    verbs.dies_at = "fit scratch-fold1-seed0"
    assert main([*call, str(broken)]) == 130
    assert capsys.readouterr().err == "clipbench: stopped; the same command goes on from here\n"
    verbs.dies_at = None
    assert main([*call, str(broken), "--cell", "4"]) == 0
    assert main([*call, str(broken)]) == 0
    assert tables(broken) == tables(whole)
    assert verbs.ran.count("fit top-fold1-seed0") == 2  # one for each keep probability, and never again
    assert verbs.ran.count("test top-fold1-seed0") == 1
    assert main([*call, str(broken)]) == 0
    assert "cell 1 of 4, top-fold1-seed0: finished before" in capsys.readouterr().out

    # The keep probability is the best on validation, and of the others' weights none is kept.
    for folder in sorted((whole / "cells").iterdir()):
        choice = json.loads((folder / "choice.json").read_text("utf-8"))
        scores = {float(keep): score for keep, score in choice["validation"].items()}
        assert scores[choice["keep_probability"]] == max(scores.values())
        record, keep = Record.read(folder), choice["keep_probability"]
        assert record.model.options["transfer_keep_probability"] == keep
        assert record.checkpoint.provenance == "clean"
        assert record.dataset.fold == int(folder.name[folder.name.index("fold") + 4])
        kept = [path.relative_to(folder).as_posix() for path in folder.rglob("*.ckpt")]
        assert kept == [f"keep-{keep:g}/checkpoints/best.ckpt"]
        assert not (folder / "features").exists()

    # Cells are entries of the leaderboards as they are.
    boards = tmp_path / "leaderboards"
    assert main([*call, str(whole), "--tables", "--leaderboards", str(boards)]) == 0
    entries, problems, _ = check_entries(boards)
    assert problems == []
    assert {entry.record.name.rpartition(", ")[2] for entry in entries} == {
        f"top layer retrained from {file_hash(Path(pretrained))[:8]}",
        "trained from scratch",
    }
    assert main([*call, str(whole), "--tables", "--leaderboards", str(boards)]) == 0
    assert "is an entry already" in capsys.readouterr().out


def test_a_fold_that_the_weights_have_seen_fails_and_the_others_go_on(
    small_set: Path, checkpoint: str, tmp_path: Path, verbs: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """The weights were trained on fold 1 of all classes, so fold 2 would test on what they have seen."""
    regimes = {"top": {"keep_probabilities": [0.9]}, "scratch": {"keep_probabilities": [0.9], "max_epochs": 1}}
    config = str(write_config(tmp_path, small_set, regimes=regimes))
    call = ["transfer", "--config", config, "--pretrained", checkpoint, "--run_dir", str(tmp_path / "run")]
    assert main(call) == 1
    shown = capsys.readouterr().out
    assert "failed: cell 2, top-fold2-seed0: the checkpoint was trained or validated on 8 of the 8 test" in shown
    assert "3 of 4 cells are finished" in shown
    assert "test top-fold2-seed0" not in verbs.ran
    table = (tmp_path / "run/transfer.md").read_text("utf-8")
    assert "| failed |" in table
    assert main([*call, "--cell", "2"]) == 1


@pytest.mark.heavy
def test_a_cell_killed_with_its_grid_goes_on_in_processes_of_its_own(
    small_set: Path, pretrained: str, tmp_path: Path, verbs: InProcess
) -> None:
    regimes = {"top3": {"keep_probabilities": [0.5], "max_epochs": 40}}
    config = str(write_config(tmp_path, small_set, regimes=regimes, folds=[1]))
    run = tmp_path / "killed"
    options = ["--trainer.limit_val_batches", "1", "--data.clips_per_video.validation", "1"]
    call = ["transfer", "--config", config, "--pretrained", pretrained, *options]
    command = [sys.executable, "-m", "benchmark", *call, "--run_dir", str(run)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    last = run / "cells/top3-fold1-seed0/keep-0.5/checkpoints/last.ckpt"
    deadline = time.monotonic() + 3000  # the timeout of tests comes first
    while not last.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.002)
    process.kill()
    process.communicate(timeout=240)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert main([*call, "--run_dir", str(tmp_path / "whole")]) == 0  # in this process
    killed, whole = (Ledger.read(folder / "cells/top3-fold1-seed0") for folder in (run, tmp_path / "whole"))
    assert killed.video_ids == whole.video_ids
    assert killed.scores == pytest.approx(whole.scores, abs=1e-5, nan_ok=True)


def test_a_checkpoint_of_another_network_is_refused_before_anything_is_trained(
    small_set: Path, pretrained: str, tmp_path: Path, verbs: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(write_config(tmp_path, small_set))
    run = tmp_path / "run"
    call = ["transfer", "--config", config, "--pretrained", pretrained, "--run_dir", str(run)]
    for words, message in (
        (["--model.width", "0.06"], "width is 0.05 in the checkpoint and 0.06 in the configuration"),
        (["--model.resolution=context"], "resolution is multires in the checkpoint and context"),
        (["--model", "SlowFusion"], "class is SingleFrame in the checkpoint and SlowFusion"),
    ):
        assert main([*call, *words]) == 2
        assert message in capsys.readouterr().err
    assert verbs.ran == []
    assert not run.exists()


@pytest.mark.parametrize(
    ("words", "changes", "message"),
    [
        (["--run_dir", "x"], {}, "name them as --pretrained"),
        (["--pretrained", "no.ckpt"], {}, "--pretrained no.ckpt: there is no such file"),
        (["--pretrained", "{0}", "--cell", "5"], {}, "--cell is 5; this grid has the cells 1 to 4"),
        (["--pretrained", "{0}", "--seed", "1"], {}, "--seed is no option of transfer"),
        (["--pretrained", "{0}", "--data.fold", "2"], {}, "--data.fold 2 is the cells' own; change grid.folds in"),
        (["--pretrained", "{0}", "--data.init_args.seed=2"], {}, "--data.seed 2 is the cells' own; change grid.seeds"),
        (["--pretrained", "{0}", "--trainer.max_epochs", "1"], {}, "change max_epochs of the regimes in grid.regimes"),
        (["--pretrained", "{0}", "--model.recipe.learning_rate", "1"], {}, "change learning_rate of the regimes"),
        (["--pretrained", "{0}", "--data", "conf/data/folder.yaml"], {}, "data VideoFolder has no folds"),
        (["--pretrained", "{0}", "--data", "Sports1M"], {}, "data Sports1M has no folds"),
        (["--pretrained", "{0}"], {"feature_draws": 2}, "grid.feature_draws is 2: it must be 4 or more"),
        (["--pretrained", "{0}"], {"folds": []}, "grid.folds is []"),
        (["--pretrained", "{0}"], {"folds": [1, 2, 1]}, "grid.folds is [1, 2, 1]: it names one twice"),
        (["--pretrained", "{0}"], {"seeds": [0, 0]}, "grid.seeds is [0, 0]: it names one twice"),
        (["--pretrained", "{0}"], {"fold": [1]}, "grid.fold is [1]: Extra inputs"),
        (["--pretrained", "{0}"], {"regimes": {"upper": {"keep_probabilities": [1]}}}, "grid.regimes.upper"),
        (["--pretrained", "{0}"], {"regimes": {"top": {"keep_probabilities": [0]}}}, "greater than 0"),
    ],
)
def test_what_a_user_can_cause_gets_one_message(
    small_set: Path,
    pretrained: str,
    tmp_path: Path,
    verbs: InProcess,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    changes: dict[str, Any],
    message: str,
) -> None:
    config = str(write_config(tmp_path, small_set, **changes))
    assert main(["transfer", "--config", config, *(word.format(pretrained) for word in words)]) == 2
    assert message in capsys.readouterr().err
    assert verbs.ran == []


def test_a_regime_that_does_not_suit_the_network_is_refused_before_anything_is_trained(
    small_set: Path, tmp_path: Path, verbs: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, small_set, regimes={"scratch": {"keep_probabilities": [0.9]}})
    call = ["transfer", "--config", str(config), "--run_dir", str(tmp_path / "run")]
    model = ["--model", "tests.commands.test_transfer.Weighted", "--model.weights", "published.pth"]
    assert main([*call, *model]) == 2
    assert "model.weights is published.pth, and transfer.regime scratch" in capsys.readouterr().err
    write_config(tmp_path, small_set, regimes={"top3": {"keep_probabilities": [0.9]}})
    model = ["--model", "tests.transfer.test_carrying.Shallow", "--pretrained", str(config)]
    assert main([*call, *model]) == 2
    assert "Shallow has 3 layer groups" in capsys.readouterr().err
    assert verbs.ran == []


def test_the_papers_numbers_are_found_from_anywhere_in_a_checkout(
    small_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(write_config(tmp_path, small_set))
    monkeypatch.chdir(tmp_path)
    assert main(["transfer", "--config", config, "--tables"]) == 1
    assert "64.1" in capsys.readouterr().out


@pytest.mark.parametrize("regime", ["top", "top3", "all"])
def test_an_architecture_from_outside_the_package_takes_part(
    small_set: Path, tmp_path: Path, verbs: InProcess, regime: str
) -> None:
    model = ["--model", "tests.transfer.test_carrying.Plugin"]
    scratch = write_config(
        tmp_path, small_set, regimes={"scratch": {"keep_probabilities": [0.9], "max_epochs": 1}}, folds=[1]
    )
    held = yaml.safe_load(scratch.read_text("utf-8"))
    held["model"] = {"class_path": model[1], "init_args": {}}
    scratch.write_text(yaml.safe_dump(held), "utf-8")
    call = ["transfer", "--config", str(scratch), "--run_dir"]
    other = ["--data.classes", "[Discs, Tiles, Stripes, Blobs]"]
    assert main([*call, str(tmp_path / "pre"), *other]) == 0
    source = tmp_path / "pre/cells/scratch-fold1-seed0/keep-0.9/checkpoints/best.ckpt"
    held["grid"]["regimes"] = {regime: {"keep_probabilities": [0.9], "max_epochs": 1}}
    scratch.write_text(yaml.safe_dump(held), "utf-8")
    assert main([*call, str(tmp_path / "run"), "--pretrained", str(source)]) == 0
    record = Record.read(tmp_path / f"run/cells/{regime}-fold1-seed0")
    assert record.model.options["transfer_regime"] == regime
