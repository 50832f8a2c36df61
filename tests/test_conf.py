"""Every shipped configuration parses, and README's commands do."""

import dataclasses
import importlib
import inspect
import re
import shlex
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import yaml

import benchmark.data
import benchmark.models
from benchmark.cli import main
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.preprocess import Augmentation
from benchmark.models import Recipe
from benchmark.models.frame_average import ImageArchitecture
from benchmark.models.pytorchvideo_video import PytorchvideoArchitecture
from benchmark.models.recurrent import Cell
from benchmark.models.torchvision_video import TorchvisionArchitecture
from benchmark.transfer.grid import Experiment
from benchmark.transfer.regimes import REGIMES

ROOT = Path(__file__).resolve().parents[1]
AVERAGE = ROOT / "conf/average.yaml"  # of networks that are trained already
HISTOGRAMS = ROOT / "conf/histograms.yaml"
EXPERIMENTS = sorted({*(ROOT / "conf").glob("*.yaml")} - {AVERAGE, HISTOGRAMS})
ZOO = sorted((ROOT / "conf/zoo").glob("*.yaml"))
EXTRA_MARKS = {
    path: pytest.mark.extra("pytorchvideo") for path in ZOO if "PytorchvideoVideo" in path.read_text("utf-8")
}
TRANSFER = sorted((ROOT / "conf/transfer").glob("*.yaml"))
PAPER = sorted((ROOT / "conf/paper").glob("*.yaml"))
DATASETS = sorted((ROOT / "conf/data").rglob("*.yaml"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def resolved(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The configuration that a command line amounts to."""
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--print_config"])
    assert stopped.value.code == 0
    config: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return config


def documented_commands() -> list[str]:
    """Commands of this package in the documents' code blocks."""
    text = "\n".join(re.sub(r"\\\n\s*", "", document.read_text("utf-8")) for document in DOCUMENTS)
    text = re.sub(r"^## A new architecture$.*?(?=^## )", "", text, flags=re.DOTALL | re.MULTILINE)  # test_contributing
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line.rpartition("python -m benchmark ")[2] for line in lines if "python -m benchmark " in line]


def test_the_experiments_are_those_promised() -> None:
    names = (
        "context early_fusion fovea late_fusion multires multires_half_second single_frame slow_fusion slow_multires"
    )
    assert [path.stem for path in EXPERIMENTS] == names.split()


def networks(paths: list[Path]) -> list[Any]:
    """Each file as a test's argument, those of networks that need an extra marked so."""
    marked = {path: [EXTRA_MARKS[path]] if path in EXTRA_MARKS else [] for path in paths}
    return [pytest.param(path, marks=marks, id=path.stem) for path, marks in marked.items()]


@pytest.mark.parametrize("path", networks(EXPERIMENTS + ZOO))
def test_an_experiment_says_what_it_is_about_and_the_rest_is_the_same_for_all(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = resolved(capsys, "fit", "--config", str(path))
    assert len(path.read_text("utf-8").splitlines()) <= 12
    written = yaml.safe_load(path.read_text("utf-8"))
    # num_classes and the frames a model reads are never typed.
    assert not {"num_classes", "frame_offsets", "input_side"} & set(written["model"].get("init_args", {}))
    recipe = dataclasses.asdict(Recipe())
    assert config["model"]["init_args"]["recipe"] == recipe
    assert config["data"]["class_path"] == "benchmark.data.SyntheticActions"
    assert config["seed_everything"] == 0
    trainer, loggers = config["trainer"], [logger["init_args"] for logger in config["trainer"]["logger"]]
    assert (trainer["max_epochs"], trainer["precision"], trainer["log_every_n_steps"]) == (24, "auto", 10)
    assert [logger["save_dir"] for logger in loggers] == [".", "."]
    assert loggers[1]["offline"] is True


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_the_papers_recipe_is_the_papers(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Section 3.3; nothing but rate, width and length differs from the experiment that ships."""
    shipped = resolved(capsys, "fit", "--config", str(ROOT / "conf" / path.name))
    for data in ([], ["--data", "data/paper/ucf101"]):
        config = resolved(capsys, "fit", "--config", str(path), *data)
        options, videos = config["model"]["init_args"], config["data"]["init_args"]
        recipe = options["recipe"]
        assert (options["width"], recipe["learning_rate"], recipe["momentum"]) == (1.0, 0.001, 0.9)
        assert (recipe["weight_decay"], recipe["warmup_steps"], recipe["cooldown"]) == (5e-4, 0, 0)
        assert videos["batch_size"] == 32
        assert videos["clips_per_video"]["train"] == (50 if data else 100)
        assert videos["augmentation"] == dataclasses.asdict(Augmentation())
        assert config["model"]["class_path"] == shipped["model"]["class_path"]
        same = {**shipped["model"]["init_args"], "recipe": recipe, "width": 1.0}
        assert options == same
    assert len(path.read_text("utf-8").splitlines()) <= 12


def test_the_papers_recipe_is_there_for_every_experiment() -> None:
    experiments = [path.name for path in EXPERIMENTS if path.stem != "multires_half_second"]  # another protocol
    assert [path.name for path in PAPER] == experiments


def test_an_average_says_of_what_and_takes_the_data_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--model.checkpoints", "[a.ckpt,b.ckpt]", "--data", str(ROOT / "conf/data/ucf101.yaml")]
    config = resolved(capsys, "test", "--config", str(AVERAGE), *given)
    assert config["model"]["init_args"] == {"checkpoints": ["a.ckpt", "b.ckpt"], "weights": None, "classes": []}
    assert str(config["data"]["class_path"]).endswith("UCF101")


def test_the_histogram_baseline_is_chosen_by_a_score_of_videos(capsys: pytest.CaptureFixture[str]) -> None:
    config = resolved(capsys, "fit", "--config", "histograms", "--data", str(ROOT / "conf/data/ucf101.yaml"))
    assert config["checkpoint"]["monitor"] == config["model"]["init_args"]["recipe"]["plateau_metric"] == "val/map"
    assert config["data"]["class_path"] == "benchmark.data.UCF101"


@pytest.mark.parametrize("path", TRANSFER, ids=lambda path: path.stem)
def test_every_fit_of_a_transfer_grid_parses(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = Experiment(path, tmp_path, Path("some.ckpt"), [])
    assert [(cell.regime, cell.fold) for cell in grid.cells] == list(product(REGIMES, (1, 2, 3)))
    for cell in grid.cells[::4]:
        keep = grid.grid.regimes[cell.regime].keep_probabilities[0]
        written = grid.fit_config(cell, keep)
        (tmp_path / "fit.yaml").write_text(yaml.safe_dump(written), "utf-8")
        config = resolved(capsys, "fit", "--config", str(tmp_path / "fit.yaml"), *grid.fit_words(cell))
        assert config["transfer"]["regime"] == cell.regime
        assert config["transfer"]["keep_probability"] == keep
        assert config["data"]["init_args"]["fold"] == cell.fold
        assert config["data"]["init_args"]["seed"] == cell.seed
        assert config["trainer"]["max_epochs"] == grid.grid.regimes[cell.regime].max_epochs


def test_the_zoo_has_every_architecture_that_is_offered() -> None:
    offered = [*get_args(TorchvisionArchitecture), *get_args(PytorchvideoArchitecture), *get_args(ImageArchitecture)]
    assert {path.stem for path in ZOO} == {*offered, *get_args(Cell), "stabilised_fusion"}


@pytest.mark.parametrize("path", networks(ZOO))
def test_a_network_of_the_zoo_can_be_built(path: Path) -> None:
    model = yaml.safe_load(path.read_text("utf-8"))["model"]
    options = model.get("init_args", {})
    # Shapes alone need no memory; one builder asks for numbers.
    with torch.device("cpu" if path.stem == "mvit_base_16x4" else "meta"):
        built = getattr(benchmark.models, model["class_path"])(7, **options)
    looks_further = model["class_path"] == "Recurrent"  # which stands under a protocol of its own
    assert built.clip_frames == (64 if looks_further else 16)  # the others rank with the paper's strategies
    assert path.stem in {options.get("architecture"), options.get("cell"), "stabilised_fusion"}


@pytest.mark.parametrize("path", DATASETS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_dataset_replaces_every_option_of_the_one_before(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = resolved(capsys, "fit", "--config", str(ROOT / "conf/slow_fusion.yaml"), "--data", str(path))
    written = yaml.safe_load(path.read_text("utf-8"))
    assert str(config["data"]["class_path"]).endswith(written["class_path"])
    given, options = written["init_args"], config["data"]["init_args"]
    module, _, name = f"benchmark.data.{written['class_path']}".rpartition("benchmark.")[2].rpartition(".")
    dataset = getattr(importlib.import_module(f"benchmark.{module}"), name)
    own, shared = (set(inspect.signature(kind).parameters) for kind in (dataset, VideoDataModule))
    assert set(given) == (own | (shared - {"root"})) - {"shared"}
    assert {name: options[name] for name in given} == given


def test_no_option_of_the_dataset_before_survives_a_switch(capsys: pytest.CaptureFixture[str]) -> None:
    before = ["--data.cache", "memory", "--data.cache_gb", "1", "--data.cache_dir", "x"]
    words = ["--config", str(ROOT / "conf/multires.yaml"), *before, "--data", str(ROOT / "conf/data/ucf101.yaml")]
    config = resolved(capsys, "fit", *words)
    options = config["data"]["init_args"]
    assert (options["cache"], options["cache_gb"], options["cache_dir"]) == ("off", 8.0, None)


@pytest.mark.parametrize("command", documented_commands())
def test_a_documented_command_parses(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    verb, *rest = shlex.split(command)
    if verb in {"fit", "validate", "test", "predict", "speed"}:
        resolved(capsys, verb, *rest)
    else:
        with pytest.raises(SystemExit) as stopped:
            main([verb, *(word for word in rest[:1] if not word.startswith("--")), "--help"])
        assert stopped.value.code == 0
        offered = capsys.readouterr().out
        # Options of the data are those of the class that is chosen.
        named = ["--data" if word.startswith("--data.") else word for word in rest if word.startswith("--")]
        assert all(word.partition("=")[0] in offered for word in named)
