"""Every shipped configuration parses, and README's commands do."""

import dataclasses
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
from benchmark.plugins import load_class
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


SHARED = {
    **{"batch_size": 32, "num_workers": 2, "multiprocessing_context": None, "seed": 0, "sampler_seed": 2014},
    **{
        "clip_seconds": None,
        "class_groups": None,
        "decoder": "pyav",
        "cache": "off",
        "cache_gb": 8.0,
        "cache_dir": None,
    },
    "test_views": ["upper_left", "upper_left_flipped", "lower_right", "lower_right_flipped"],
}
PAPERS = {"smallest_region": None, "aspect_ratio": 1.0, "colour": 0.0, "grey": 0.0}
VARIED = {"smallest_region": 0.5, "aspect_ratio": 1.3, "colour": 0.4, "grey": 0.2}
UCF101 = {
    **{"class_path": "UCF101", "root": "data/ucf101", "lists": None, "fold": 1, "classes": None, "split_seed": 0},
    **{"validation_share": 0.0625, "clips": (50, 5)},
}
SPORTS1M = {
    **{"class_path": "Sports1M", "root": "data/sports1m", "lists": None, "split_seed": 0, "validation_share": 0.125},
    "clips": (100, 2),
}
RESOLVED: dict[str, dict[str, Any]] = {
    "folder": {
        **{"class_path": "VideoFolder", "root": "data/videos", "annotations": None, "name": None, "split_seed": 0},
        **{"source_group": None, "clips": (50, 5), "augmentation": VARIED},
    },
    "sports1m": {**SPORTS1M, "augmentation": VARIED},
    "sports1m_shards": {
        **{"class_path": "scale.sports1m_shards.Sports1MShards", "store": "data/sports1m-store", "clips": (100, 2)},
        "augmentation": VARIED,
    },
    "synthetic": {
        **{"class_path": "SyntheticActions", "root": None, "fold": 1, "classes": None, "source_groups": 18},
        **{"generation_seed": 0, "clips": (50, 2), "augmentation": PAPERS},
    },
    "ucf101": {**UCF101, "augmentation": VARIED},
    "paper/sports1m": {**SPORTS1M, "augmentation": PAPERS},
    "paper/ucf101": {**UCF101, "augmentation": PAPERS},
}


def test_a_file_of_data_says_what_differs_from_its_class() -> None:
    assert {path.relative_to(ROOT / "conf/data").with_suffix("").as_posix() for path in DATASETS} == set(RESOLVED)
    for path in DATASETS:
        assert len(path.read_text("utf-8").splitlines()) <= 8
        written = yaml.safe_load(path.read_text("utf-8"))
        defaults = inspect.signature(load_class(written["class_path"], VideoDataModule)).parameters
        same = {name for name, value in written.get("init_args", {}).items() if defaults.get(name, inspect) == value}
        assert not same


# The second and the third say something of the data themselves, the third of the same class as a file.
@pytest.mark.parametrize("experiment", ["slow_fusion", "multires_half_second", "paper/slow_fusion"])
@pytest.mark.parametrize("name", RESOLVED)
def test_a_dataset_replaces_every_option_of_the_one_before(
    name: str, experiment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = dict(RESOLVED[name])
    train, train_epoch = expected.pop("clips")
    clips = {"train": train, "train_epoch": train_epoch, "validation": 4, "test": 20}
    own = str(expected.pop("class_path"))
    class_path = f"benchmark.{own}" if "." in own else f"benchmark.data.{own}"
    for given in (["--data", name], [f"--data={ROOT / 'conf/data' / name}.yaml"]):
        config = resolved(capsys, "fit", "--config", experiment, *given)
        options = config["data"]["init_args"]
        assert config["data"] == {"class_path": class_path, "init_args": options}
        assert options == {**SHARED, **expected, "clips_per_video": clips}


@pytest.mark.parametrize("verb", ["fit", "speed", "audit"])
def test_a_file_of_data_is_completed_with_defaults_and_not_with_what_was_before(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {"root": "a", "cache": "memory", "clip_seconds": 0.5, "clips_per_video": {"train": 7, "test": 3}}
    experiment = {"data": {"class_path": "UCF101", "init_args": before}}
    if verb != "audit":
        experiment["model"] = {"class_path": "SingleFrame"}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(experiment), "utf-8")
    data = {"class_path": "UCF101", "init_args": {"root": "b", "clips_per_video": {"test": 4}}}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(data), "utf-8")
    words = ["--config", str(tmp_path / "own.yaml"), "--data", str(tmp_path / "data.yaml"), "--data.fold", "2"]
    options = resolved(capsys, verb, *words)["data"]["init_args"]
    assert options["clips_per_video"] == {"train": 50, "train_epoch": 2, "validation": 4, "test": 4}
    found = {name: options[name] for name in ("root", "cache", "clip_seconds", "fold")}
    assert found == {"root": "b", "cache": "off", "clip_seconds": None, "fold": 2}


@pytest.mark.parametrize("given", [["--data", "ucf101"], ["--data=conf/data/ucf101.yaml"]])
@pytest.mark.parametrize("verb", ["fit", "speed", "audit"])
def test_an_option_before_the_data_that_would_replace_it_is_refused(
    verb: str, given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--config", "multires", "--data.cache", "memory", *given]) == 2
    said = capsys.readouterr().err
    assert re.match(r"clipbench: --data.cache comes before --data \S+ucf101.yaml, which would replace it; ", said)


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
