import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from benchmark.cli import main
from benchmark.cost import gflop_by_shapes
from benchmark.models import SingleFrame
from benchmark.speed.peers import TRAINING_PEERS
from tests.generators.small_test import options

SHORT = ["--speed.clips", "6", "--speed.steps", "4", "--speed.rounds", "2"]


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that are given instead of measured, which would take seconds."""
    monkeypatch.setattr("benchmark.speed.machine.matmul_peak_gflop_per_second", lambda dtype, device: 100.0)
    monkeypatch.setattr("benchmark.speed.machine.memory_bandwidth_bytes_per_second", lambda device: 1e10)


def numbers(value: Any) -> list[float]:
    """Every number of a JSON document."""
    if isinstance(value, dict):
        return [number for held in value.values() for number in numbers(held)]
    if isinstance(value, list):
        return [number for held in value for number in numbers(held)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


@pytest.mark.extra("matplotlib")
def test_where_the_time_goes(small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(2)
    more = ["--data.cache", "disk", "--data.cache_dir", str(tmp_path / "cache"), "--data.cache_gb", "0.1"]
    arguments = [*options(small_set, tmp_path / "run", report=None), *more, *SHORT, "--speed.compare", "opencv"]
    try:
        assert main(["speed", *arguments]) == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    out = capsys.readouterr().out
    for shown in (
        *("run folder:", "multires on ", "convert and resize", "from the cache", "of decoding alone", "transfer  "),
        *(
            "forward",
            "backward",
            "optimizer",
            "GFLOP a clip",
            "paper, section 4.1",
            "3.50x",
            "test, 20 clips of a video",
        ),
        *("in grey levels of 255: opencv", "speed.json", "speed.png"),
    ):
        assert shown in out
    assert (tmp_path / "run/speed.png").read_bytes().startswith(b"\x89PNG")
    left = {path.name for path in (tmp_path / "run").iterdir() if not path.name.startswith(".")}
    assert left == {"speed.json", "speed.png"}  # nothing of a fit

    held = json.loads((tmp_path / "run/speed.json").read_text("utf-8"))
    assert all(math.isfinite(number) for number in numbers(held))
    loading, training = held["loading"], held["training"]
    assert [stage["name"] for stage in loading["stages"]] == ["open", "decode", "convert and resize", "cut", "batch"]
    for stage in (*loading["stages"], loading["whole"], loading["cached"], loading["decoding_alone"]):
        assert stage["clips"] == [6, 6]
        assert all(seconds > 0 for seconds in stage["seconds"])
    for part in ("waiting", "forward", "backward", "optimizer"):
        assert training[part]["clips"] == [8, 8]  # two steps of four clips
    assert training["transfer"] is None
    assert (training["precision"], training["dtype"]) == ("32-true", "float32")
    network = SingleFrame(16, resolution="multires", width=0.05)
    assert training["inference_gflop_per_clip"] == pytest.approx(gflop_by_shapes(network))
    testing, trained = held["gains"]
    assert trained["multires"]["gflop_per_clip"] == pytest.approx(training["training_gflop_per_clip"])
    assert testing["multires"]["parameters"] == sum(weight.numel() for weight in network.parameters())
    ours = ["clipbench, first opening", "clipbench, opened before"]
    for work in ("training", "testing"):
        assert [stage["name"] for stage in held["comparison"][work]] == [*ours, "opencv", "decoding alone"]
    assert held["comparison"]["training"][0]["clips"] == [6, 6]
    assert held["comparison"]["testing"][0]["clips"] == [20, 20]
    assert held["comparison"]["grey_levels"]["opencv"] < 8
    assert held["config"]["model"]["init_args"]["width"] == 0.05


def test_the_config_of_a_fit_and_a_network_of_one_resolution(
    small_set: Path, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Path(checkpoint).parents[1] / "config.yaml"
    assert yaml.safe_load(config.read_text("utf-8"))["transfer"]["regime"] is None
    more = ["--model.resolution", "fovea", "--run_dir", str(tmp_path / "run")]
    assert main(["speed", "--config", str(config), *more, *SHORT]) == 0
    out = capsys.readouterr().out
    assert "paper, section 4.1" not in out
    held = json.loads((tmp_path / "run/speed.json").read_text("utf-8"))
    assert held["gains"] == []
    assert held["comparison"] is None
    assert held["loading"]["cached"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--speed.clips", "0"], "speed.clips is 0"),
        (["--speed.rounds", "0"], "speed.rounds is 0"),
        (["--speed.steps", "1", "--speed.rounds", "2"], "raise the first or lower the second"),
        (["--speed.seed", "-1"], "speed.seed is -1"),
        (["--speed.compare", "ffmpeg"], "speed.compare names ffmpeg; allowed are all, pytorchvideo"),
        (["--speed.clips", "many"], "speed.clips"),
        (["--speed.clisp", "3"], "clisp"),
        (["--model.widht", "1"], "widht"),
        (["--trainer.devices", "2"], "trainer.devices is 2"),
        (["--transfer.regime", "scratch"], "transfer.regime is scratch"),
    ],
)
def test_wrong_options_get_one_message(
    arguments: list[str], message: str, small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["speed", *options(small_set, tmp_path / "run", report=None), *SHORT, *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_videos_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("train", "test"):
        for name in ("dark", "light"):
            path = tmp_path / f"videos/{split}/{name}/one.mp4"
            path.parent.mkdir(parents=True)
            path.write_bytes(b"no video")
    config = Path(__file__).resolve().parents[2] / "conf"
    arguments = ["--config", str(config / "multires.yaml"), "--data", str(config / "data/folder.yaml")]
    arguments += ["--data.root", str(tmp_path / "videos"), "--run_dir", str(tmp_path / "run"), "--model.width", "0.05"]
    assert main(["speed", *arguments, *SHORT]) == 2
    assert "of 6 training clips of a round none can be read" in capsys.readouterr().err


def test_no_training_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("dark", "light"):
        path = tmp_path / f"videos/test/{name}/one.mp4"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"no video")
    (tmp_path / "videos/train").mkdir()
    config = Path(__file__).resolve().parents[2] / "conf"
    arguments = ["--config", str(config / "multires.yaml"), "--data", str(config / "data/folder.yaml")]
    arguments += ["--data.root", str(tmp_path / "videos"), "--run_dir", str(tmp_path / "run"), "--model.width", "0.05"]
    assert main(["speed", *arguments, *SHORT]) == 2
    assert "no video of the train split of" in capsys.readouterr().err


def test_a_library_that_cannot_read_these_videos_is_named(
    small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, start: int, rate: float) -> torch.Tensor:
        raise RuntimeError("no such codec")

    monkeypatch.setitem(TRAINING_PEERS, "opencv", refuse)
    arguments = [*options(small_set, tmp_path / "run", report=None), *SHORT, "--speed.compare", "opencv"]
    assert main(["speed", *arguments]) == 0
    assert "not compared: opencv (opencv cannot read" in capsys.readouterr().out
    held = json.loads((tmp_path / "run/speed.json").read_text("utf-8"))["comparison"]
    assert [stage["name"] for stage in held["training"]] == [
        "clipbench, first opening",
        "clipbench, opened before",
        "decoding alone",
    ]
