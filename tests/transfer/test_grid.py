"""What a grid refuses, and what it says to the fits of its cells."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.cli import main
from benchmark.files import file_hash
from benchmark.transfer.grid import Cell, Experiment
from tests.generators.ledgers import make_ledger, write_run
from tests.generators.transfer_grids import InProcess, write_config


def test_another_grid_does_not_go_on_in_a_folder(
    small_set: Path, pretrained: str, tmp_path: Path, verbs: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    regimes: dict[str, Any] = {"scratch": {"keep_probabilities": [0.9], "max_epochs": 1}}
    config = str(write_config(tmp_path, small_set, regimes=regimes, folds=[1]))
    call = ["transfer", "--config", config, "--run_dir", str(tmp_path / "run")]
    # What was given wrongly and could not run may be given rightly.
    assert main([*call, "--data.classes", "[Nothing]", "--data.batch_size=2"]) == 1
    assert "data.classes names ['Nothing']" in capsys.readouterr().out
    assert main([*call, "--data.batch_size=2"]) == 0
    claim = (tmp_path / "run/grid.json").read_text("utf-8")
    # How an option is written, where the data lie and on what it runs may change.
    other = [
        "--data.root",
        str(small_set),
        "--data.num_workers",
        "1",
        "--trainer.devices=1",
        "--trainer.logger",
        "false",
    ]
    assert main([*call, "--data.init_args.batch_size", "2", *other]) == 0
    capsys.readouterr()
    for words, message in (
        (["--data.batch_size", "3"], "the command line was --data.batch_size 2 and is --data.batch_size 3 now"),
        ([], "the command line was --data.batch_size 2 and is without options now"),
    ):
        for mode in ([], ["--list"], ["--tables"], ["--tables", "--leaderboards", str(tmp_path / "boards")]):
            assert main([*call, *words, *mode]) == 2
            shown = capsys.readouterr()
            assert message in shown.err
            assert "scratch-fold1" not in shown.out
    call += ["--data.batch_size", "2"]
    write_config(tmp_path, small_set, regimes=regimes, folds=[1], cache_gb=1)
    assert main([*call, "--list"]) == 0
    write_config(tmp_path, small_set, regimes=regimes, folds=[1, 2])
    assert main([*call, "--list"]) == 2
    assert "grid.folds was [1] and is [1, 2] now" in capsys.readouterr().err
    write_config(tmp_path, small_set, regimes=regimes, folds=[1])
    assert main([*call, "--tables", "--pretrained", pretrained]) == 2
    assert f"pretrained was None and is {file_hash(Path(pretrained))} now" in capsys.readouterr().err
    assert (tmp_path / "run/grid.json").read_text("utf-8") == claim
    assert not list((tmp_path / "run").glob("*.new"))
    (tmp_path / "run/grid.json").write_text("{", "utf-8")
    assert main([*call, "--list"]) == 2
    assert "grid.json is damaged" in capsys.readouterr().err


def test_looking_at_a_grid_writes_no_claim(
    small_set: Path, pretrained: str, tmp_path: Path, verbs: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(write_config(tmp_path, small_set))
    call = ["transfer", "--config", config, "--run_dir", str(tmp_path / "run")]
    assert main([*call, "--list"]) == 0
    assert not (tmp_path / "run").exists()
    assert main([*call, "--tables"]) == 1
    assert not (tmp_path / "run/grid.json").exists()


def test_fold_seed_and_settings_of_a_cell_win_over_every_file_that_is_named(
    small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    regimes = {"scratch": {"keep_probabilities": [0.9], "max_epochs": 7, "learning_rate": 0.25}}
    data = tmp_path / "data.yaml"
    data.write_text(yaml.safe_dump({"class_path": "SyntheticActions", "init_args": {"fold": 1, "seed": 0}}), "utf-8")
    recipe = ["--model.recipe", "{learning_rate: 1}", "--trainer", str(tmp_path / "trainer.yaml")]
    (tmp_path / "trainer.yaml").write_text("max_epochs: 3", "utf-8")
    config = write_config(tmp_path, small_set, regimes=regimes, seeds=[0, 5])
    experiment = Experiment(config, tmp_path, None, ["--data", str(data), *recipe])
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump(experiment.fit_config(experiment.cells[3], 0.9)), "utf-8")
    words = experiment.fit_words(experiment.cells[3])
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(tmp_path / "fit.yaml"), *words, "--print_config"])
    held = yaml.safe_load(capsys.readouterr().out)
    assert (held["data"]["init_args"]["fold"], held["data"]["init_args"]["seed"]) == (2, 5)
    assert (held["trainer"]["max_epochs"], held["seed_everything"]) == (7, 5)
    assert held["model"]["init_args"]["recipe"]["learning_rate"] == 0.25


def test_a_record_of_another_fold_is_unreadable(tmp_path: Path) -> None:
    write_run(tmp_path, make_ledger(fold=1))
    (tmp_path / "choice.json").write_text('{"keep_probability": 0.5}', "utf-8")
    assert Cell(1, "top", 1, 0, tmp_path).result().state == "finished"
    found = Cell(2, "top", 2, 0, tmp_path).result()
    assert (found.state, found.record) == ("unreadable: its record is of fold 1", None)


def test_a_named_optimiser_reaches_every_cell_and_takes_their_learning_rates(
    small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    regimes = {"scratch": {"keep_probabilities": [0.9], "max_epochs": 1, "learning_rate": 0.25}}
    config = write_config(tmp_path, small_set, regimes=regimes)
    schedule = ["--lr_scheduler", "StepLR", "--lr_scheduler.step_size", "1"]
    for part, words in (
        ({"optimizer": {"class_path": "AdamW", "init_args": {"lr": 0.5}}}, schedule),
        ({}, ["--optimizer", "AdamW", "--optimizer.lr", "0.5", *schedule]),
    ):
        held = {**yaml.safe_load(config.read_text("utf-8")), **part}
        experiment = Experiment(config, tmp_path, None, words, held)
        (tmp_path / "fit.yaml").write_text(yaml.safe_dump(experiment.fit_config(experiment.cells[0], 0.9)), "utf-8")
        with pytest.raises(SystemExit):
            main(
                [
                    "fit",
                    "--config",
                    str(tmp_path / "fit.yaml"),
                    *experiment.fit_words(experiment.cells[0]),
                    "--print_config",
                ]
            )
        fit = yaml.safe_load(capsys.readouterr().out)
        assert fit["optimizer"]["class_path"] == "torch.optim.AdamW"
        assert fit["optimizer"]["init_args"]["lr"] == 0.25
        assert fit["lr_scheduler"]["init_args"]["step_size"] == 1
        assert fit["model"]["init_args"].get("recipe", {}).get("learning_rate") != 0.25


def test_a_learning_rate_that_a_network_does_not_take_is_refused(
    small_set: Path, tmp_path: Path, verbs: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    regimes = {"scratch": {"keep_probabilities": [0.9], "max_epochs": 1, "learning_rate": 0.25}}
    config = write_config(tmp_path, small_set, regimes=regimes, folds=[1])
    held = yaml.safe_load(config.read_text("utf-8"))
    held["model"] = {"class_path": "tests.generators.broken_models.OwnOptimiser"}
    config.write_text(yaml.safe_dump(held), "utf-8")
    call = ["transfer", "--config", str(config), "--run_dir", str(tmp_path / "run")]
    assert main(call) == 2
    message = "grid.regimes.scratch.learning_rate does nothing: OwnOptimiser.configure_optimizers makes the optimiser"
    assert message in capsys.readouterr().err
    assert main([*call, "--optimizer", "SGD"]) == 0
