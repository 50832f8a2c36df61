"""What the cells of a reproduction run, and in which order."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.cli import main
from benchmark.grid import processes
from benchmark.grid.cells import Cell
from benchmark.paper.plan import Plan, Table1Cell
from benchmark.paper.rows import CNN_AVERAGE, HISTOGRAMS, ROWS, SLOW, Row
from benchmark.transfer.grid import Experiment
from tests.generators.paper_cells import finish, plan_in


def resolved(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    with pytest.raises(SystemExit):
        main(["fit", *words, "--print_config"])
    held: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return held


@pytest.mark.parametrize("recipe", ["shipped", "paper"])
def test_every_network_of_table_1_can_be_fitted(
    recipe: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--data", "conf/data/ucf101.yaml", "--data.root", "videos", "--data.batch_size", "8")
    plan = Plan(
        tmp_path, "UCF101", words, (1, 2, 3), recipe=recipe, width=0.5 if recipe == "shipped" else None, epochs=7
    )
    for row in ROWS:
        if row.is_network:
            (tmp_path / "fit.yaml").write_text(yaml.safe_dump(plan.row_config(row)), "utf-8")
            held = resolved(capsys, "--config", str(tmp_path / "fit.yaml"), *plan.fit_words(row, 2, 5))
            model, data = held["model"]["init_args"], held["data"]["init_args"]
            assert (data["fold"], data["seed"], data["root"], data["batch_size"]) == (2, 5, "videos", 8)
            assert held["trainer"]["max_epochs"] == 7
            assert model["width"] == (0.5 if recipe == "shipped" else 1.0)
            assert model["recipe"]["learning_rate"] == (0.01 if recipe == "shipped" else 0.001)
            assert data["augmentation"]["colour"] == (0.4 if recipe == "shipped" else 0.0)
            assert data["augmentation"]["smallest_region"] == (0.5 if recipe == "shipped" else None)


def test_the_grid_of_tables_3_and_4_is_slow_fusion_on_the_same_videos(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--data", "SyntheticActions", "--data.clips_per_video.test", "3", "--trainer.accelerator", "cpu")
    plan = Plan(tmp_path, "SyntheticActions", words, (1, 3), width=0.06, epochs=2)
    experiment = plan.transfer()
    assert experiment is not None
    assert [cell.number for cell in plan.cells()] == list(range(1, len(plan.cells()) + 1))
    assert len(plan.cells()) == 9 * 2 + 1 + 4 * 2
    cell = experiment.cells[-1]
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump(experiment.fit_config(cell, 0.5)), "utf-8")
    held = resolved(capsys, "--config", str(tmp_path / "fit.yaml"), *experiment.fit_words(cell))
    assert held["model"]["class_path"].endswith("SlowFusion")
    assert (held["model"]["init_args"]["resolution"], held["model"]["init_args"]["width"]) == ("full", 0.06)
    data = held["data"]["init_args"]
    assert (data["source_groups"], data["fold"], data["clips_per_video"]["test"]) == (18, 3, 3)
    assert held["trainer"]["max_epochs"] == 2
    assert held["transfer"]["pretrained"] == str(plan.transfer_weights())
    assert not list(tmp_path.glob("transfer*"))


def of_the_grid(plan: Plan, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Settings of a cell of Tables 3 and 4, as the fit reads them."""
    experiment = plan.transfer()
    assert experiment is not None
    plan.folder.mkdir(parents=True, exist_ok=True)
    cell = next(cell for cell in experiment.cells if cell.regime == "top")
    (plan.folder / "fit.yaml").write_text(yaml.safe_dump(experiment.fit_config(cell, 0.5)), "utf-8")
    return resolved(capsys, "--config", str(plan.folder / "fit.yaml"), *experiment.fit_words(cell))


def test_what_is_given_reaches_tables_3_and_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"root": "mine", "classes": ["Archery", "Surfing"], "clips_per_video": {"train": 30, "test": 5}}
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"class_path": "UCF101", "init_args": {**options, "fold": 3}}), "utf-8")
    given = ("--data.batch_size", "7", "--model.recipe.momentum=0.8", "--model.recipe.learning_rate", "2e-2")
    words = ("--data", str(mine), *given, "--model.dropout", "0.1")
    held = of_the_grid(Plan(tmp_path / "a", "UCF101", words, (1, 2), pretrained=Path("some.ckpt")), capsys)
    data, recipe = held["data"]["init_args"], held["model"]["init_args"]["recipe"]
    assert (data["root"], data["classes"], data["batch_size"], data["fold"]) == ("mine", ["Archery", "Surfing"], 7, 1)
    assert data["augmentation"]["colour"] == 0.0  # the file names none
    clips = data["clips_per_video"]
    assert (clips["train"], clips["train_epoch"], clips["test"]) == (10, 2, 5)  # training clips are the grid's
    assert (recipe["momentum"], recipe["learning_rate"]) == (0.8, 0.02)
    more = (*words, "--data.clips_per_video.train", "12")
    held = of_the_grid(Plan(tmp_path / "b", "UCF101", more, (1, 2), pretrained=Path("some.ckpt")), capsys)
    assert held["data"]["init_args"]["clips_per_video"]["train"] == 12


@pytest.mark.parametrize("dataset", ["UCF101", "Sports1M"])
def test_the_papers_recipe_does_not_augment_tables_3_and_4(
    dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--data", f"conf/data/{dataset.lower()}.yaml", "--data.batch_size", "7", "--trainer.accelerator", "cpu")
    ucf101 = None if dataset == "UCF101" else Path("videos")
    folds = (1,) if dataset == "UCF101" else (None,)
    plan = Plan(tmp_path, dataset, words, folds, recipe="paper", pretrained=Path("some.ckpt"), ucf101=ucf101)
    held = of_the_grid(plan, capsys)
    data = held["data"]["init_args"]
    assert held["data"]["class_path"].endswith("UCF101")
    assert (data["augmentation"]["smallest_region"], data["augmentation"]["colour"]) == (None, 0.0)
    assert data["batch_size"] == (7 if dataset == "UCF101" else 32)  # options of Sports-1M are not those of UCF-101
    assert data["root"] == ("data/ucf101" if dataset == "UCF101" else "videos")
    assert held["trainer"]["accelerator"] == "cpu"


def test_ucf101_beside_the_embedded_data_is_ucf101(tmp_path: Path) -> None:
    experiment = Plan(tmp_path, "SyntheticActions", ("--data", "SyntheticActions"), (1,), ucf101=Path("v")).transfer()
    assert experiment is not None
    assert experiment.fit["data"]["class_path"] == "UCF101"
    assert experiment.words == ["--data.root=v"]


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ("UCF101", {}, "name its checkpoint as --pretrained CKPT"),
        ("Sports1M", {}, "name the folder of its videos as --ucf101 DIR"),
        ("VideoFolder", {}, "VideoFolder has none"),
        ("UCF101", {"pretrained": Path("some.ckpt")}, None),
        ("Sports1M", {"ucf101": Path("videos")}, None),
        ("Sports1MShards", {}, "name the folder of its videos as --ucf101 DIR"),
        ("Sports1MShards", {"ucf101": Path("videos")}, None),
    ],
)
def test_what_tables_3_and_4_lack_is_said(dataset: str, options: dict[str, Any], message: str | None) -> None:
    plan = Plan(Path("out"), dataset, ("--data", dataset), (1, 2, 3) if dataset == "UCF101" else (None,), **options)
    lacks = plan.transfer_lacks()
    assert (lacks is None) == (message is None)
    assert message is None or message in str(lacks)
    assert (plan.transfer() is None) == (message is not None)
    if dataset.startswith("Sports1M") and message is None:
        assert str(plan.transfer_weights()) == "out/cells/slow_fusion-seed0/fit/checkpoints/best.ckpt"


def test_the_average_is_of_the_finished_members_of_its_fold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Row, "is_here", True)
    ran: list[list[str]] = []

    def run(words: list[str], folder: Path, lock: int) -> None:
        ran.append(list(words))
        finish(plan, {CNN_AVERAGE: 1.0})

    monkeypatch.setattr(processes, "run_verb", run)
    plan = plan_in(tmp_path)
    cell = next(cell for cell in plan.table1_cells() if (cell.row.key, cell.fold) == (CNN_AVERAGE, 2))
    assert not plan.run(cell, 18)
    lacking = "averages tests that are not finished yet: single_frame-fold2-seed0, early_fusion-fold2"
    assert lacking in capsys.readouterr().out
    assert cell.state() == "not run"  # it waits for them, and did not fail
    finish(plan, {key: 1.0 for key in cell.row.members})
    assert plan.run(cell, 18)
    members = [str(tmp_path / f"cells/{key}-fold2-seed0") for key in cell.row.members]
    assert ran == [["average", *members, "--run_dir", str(cell.folder)]]


def test_the_baseline_is_tuned_once_and_then_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(words: list[str], folder: Path, lock: int) -> None:
        ran.append(list(words))
        chosen = {**plan.row_config(cell.row), "data": {"class_path": "UCF101"}}
        chosen["model"] = {"class_path": chosen["model"], "init_args": {"width": 64}}
        if words[:2] == ["histograms", "tune"]:
            (folder / "tuned").mkdir()
            (folder / "tuned/histograms.yaml").write_text(yaml.safe_dump(chosen), "utf-8")
        else:
            raise processes.CellFailure("stopped here")

    monkeypatch.setattr(processes, "run_verb", run)
    words = ("--data", "UCF101", "--data.root", "videos", "--trainer.accelerator", "cpu", "--model.dropout=0")
    plan = Plan(tmp_path, "UCF101", words, (1, 2), epochs=7)
    cell = next(cell for cell in plan.table1_cells() if (cell.row.key, cell.fold) == (HISTOGRAMS, 2))
    for _ in range(2):
        assert not plan.run(cell, 18)
    tune, fit, again = ran
    data = ["--data", "UCF101", "--data.root", "videos", "--data.fold", "2", "--data.seed", "0"]
    assert tune == [
        "histograms",
        "tune",
        *data,
        *("--run_dir", str(cell.folder / "tuned")),
        *("--seed", "0", "--epochs", "7"),
    ]
    assert fit[0] == "fit"
    assert fit == again
    written = yaml.safe_load((cell.folder / "fit/fit.yaml").read_text("utf-8"))
    assert written["model"]["init_args"] == {"width": 64}


@pytest.mark.parametrize("dataset", ["SyntheticActions", "Sports1M"])
def test_tables_3_and_4_begin_with_weights_of_a_finished_cell_alone(
    dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`best.ckpt` is there from the first validation on, and becomes better until the fit ends."""
    begun: list[str] = []

    def transfer(experiment: Experiment, cell: Cell, count: int) -> bool:
        begun.append(cell.name)
        return True

    monkeypatch.setattr("benchmark.paper.plan.run_transfer_cell", transfer)
    has_folds = dataset == "SyntheticActions"
    ucf101 = None if has_folds else Path("videos")
    plan = Plan(tmp_path, dataset, ("--data", dataset), (1,) if has_folds else (None,), ucf101=ucf101)
    source, cells = plan.weights_cell(), plan.transfer_cells()
    assert source is not None
    checkpoints = source.folder / "fit/checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "best.ckpt").write_bytes(b"of the first epoch")
    (source.folder / "log.txt").touch()
    cells[0].folder.mkdir(parents=True)
    (cells[0].folder / "failed.txt").write_text("for want of weights", "utf-8")
    assert not plan.run(cells[0], 99)
    assert cells[0].state() == "not run"  # it waits, and `launch` tries it again
    shutil.rmtree(tmp_path / "transfer")
    said = f"begins with the weights of cell {source.number}, {source.name}, which is unfinished"
    assert said in capsys.readouterr().out
    assert not (tmp_path / "transfer").exists()

    (checkpoints / "best.ckpt").write_bytes(b"of the last epoch")
    (source.folder / ("fit/fit.json" if has_folds else "record.json")).write_text("{}", "utf-8")
    assert plan.run(cells[0], 99)

    # Should it be trained again after all, the cell says so by an option that there is, and the others go on.
    (tmp_path / "transfer/cells/begun").mkdir(parents=True)
    (checkpoints / "best.ckpt").write_bytes(b"of another fit")
    assert not plan.run(cells[1], 99)
    shown = capsys.readouterr().out
    assert f"{tmp_path / 'transfer'} holds a grid that differs: pretrained was" in shown
    assert "Name another folder as --out" in shown
    assert begun == [cells[0].name]


def test_a_system_that_is_not_in_this_version_is_a_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Row("cubes", "cubes", "no_such_configuration", is_network=False)
    cell = Table1Cell(1, row, 1, 0, tmp_path / "cells/cubes")
    assert not plan_in(tmp_path).run(cell, 1)
    assert "not run, this version does not have it" in capsys.readouterr().out
    assert not cell.folder.exists()


def test_options_of_networks_stay_with_networks(tmp_path: Path) -> None:
    words = ("--data", "UCF101", "--model.recipe.learning_rate", "0.1", "--data.batch_size=3", "--model.dropout=0")
    plan = Plan(tmp_path, "UCF101", words, (1,), width=0.5)
    other = plan.fit_words(ROWS[0], 1, 0)
    assert not [word for word in other if word.startswith("--model")]
    assert "--data.batch_size=3" in other
    assert "--model.width" in plan.fit_words(next(row for row in ROWS if row.key == SLOW), 1, 0)
