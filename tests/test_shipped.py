"""Shipped configurations go by their names, files go before names, and unknown names get the nearest ones."""

import json
import os
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.shipped import configuration, configuration_file, configurations, shipped_folder, with_files

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_file_of_conf_has_a_name() -> None:
    expected = {}
    for folder, _, files in os.walk(ROOT / "conf"):
        for file in files:
            path = Path(folder) / file
            expected[str(path.relative_to(ROOT / "conf")).replace(os.sep, "/")[: -len(".yaml")]] = path
    assert configurations() == expected
    assert {"multires", "zoo/x3d_m", "transfer/embedded", "data/ucf101"} <= expected.keys()


def test_the_paper_s_tables_come_along() -> None:
    assert list(shipped_folder("leaderboards").glob("paper/*.json"))


def test_a_wheel_s_folder_goes_before_a_checkout_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.__file__", str(tmp_path / "benchmark/__init__.py"))
    (tmp_path / "conf").mkdir()
    assert shipped_folder("conf") == tmp_path / "conf"
    (tmp_path / "benchmark/conf").mkdir(parents=True)
    assert shipped_folder("conf") == tmp_path / "benchmark/conf"


def test_names_become_files() -> None:
    words = ["fit", "--config", "multires", "--data=data/ucf101", "--data.root", "multires", "-c", "zoo/x3d_m"]
    assert with_files(words) == [
        *("fit", "--config", str(ROOT / "conf/multires.yaml"), f"--data={ROOT / 'conf/data/ucf101.yaml'}"),
        *("--data.root", "multires", "-c", str(ROOT / "conf/zoo/x3d_m.yaml")),
    ]


def test_a_file_goes_before_a_name(tmp_path: Path) -> None:
    (tmp_path / "multires").write_text("model: SingleFrame", "utf-8")
    assert configuration_file("multires") == "multires"
    (tmp_path / "multires").unlink()
    (tmp_path / "multires").mkdir()  # a folder is no file
    assert configuration_file("multires") == str(ROOT / "conf/multires.yaml")


@pytest.mark.parametrize(
    ("word", "option"),
    [
        ("UCF101", "--data"),
        ("my_file.MyVideos", "--data"),
        (json.dumps({"class_path": "UCF101", "init_args": {"root": "x" * 5000}}), "--data"),
        ("{model: SingleFrame}", "--config"),
        ("model:\n  class_path: SingleFrame", "--config"),
        ("https://example.org/multires.yaml", "--config"),
        ("-", "--config"),
        (os.devnull, "--config"),
    ],
)
def test_what_is_no_name_stays(word: str, option: str) -> None:
    assert with_files([option, word]) == [option, word]
    assert with_files([f"{option}={word}"]) == [f"{option}={word}"]


@pytest.mark.parametrize(
    ("option", "word", "nearest"),
    [
        ("--config", "multirez", "multires, paper/multires, slow_multires"),
        ("--config", "conf/multires.yaml", "multires, paper/multires, slow_multires"),
        ("--config", "x3d_xs", "zoo/x3d_xs, "),
        ("--config", "embedded", "transfer/embedded"),
        ("--data", "data/ufc101", "data/ucf101, "),
        ("--data", "conf/data/folder.yml", "data/folder"),
    ],
)
def test_an_unknown_name_gets_the_nearest(option: str, word: str, nearest: str) -> None:
    with pytest.raises(UserError) as caught:
        with_files([option, word])
    message = str(caught.value)
    assert f"{option} {word}: there is no such file" in message
    assert f"the nearest: {nearest}" in message
    assert "`clipbench configs` lists them all" in message
    if option == "--data":
        assert "multires" not in message


def test_a_name_like_no_other_gets_the_list() -> None:
    with pytest.raises(
        UserError, match="no configuration called 'qqq' comes with clipbench; `clipbench configs` lists"
    ):
        configuration("qqq")


@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict", "speed"])
def test_every_verb_of_the_trainer_takes_names(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--config", "slow_fusion", "--data", "data/folder", "--print_config"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "class_path: benchmark.models.SlowFusion" in shown
    assert "class_path: benchmark.data.VideoFolder" in shown
    assert "root: data/videos" in shown  # of the folder in which the command is given, not of the package's


def test_transfer_takes_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transfer", "--config", "transfer/embedded", "--list"]) == 0
    assert capsys.readouterr().out.count("not run") == 12
    assert main(["transfer", "--config", "transfer/embeded", "--list"]) == 2
    assert "the nearest: transfer/embedded" in capsys.readouterr().err


def test_a_grid_takes_the_name_of_its_data(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["transfer", "--config", "transfer/embedded", "--pretrained", "x.ckpt", "--data", "data/folder"]
    assert main(words) == 2
    assert "data VideoFolder has no folds" in capsys.readouterr().err


def test_data_is_known_without_its_folder() -> None:
    assert configuration_file("ucf101", "--data") == configuration_file("data/ucf101", "--data")
    assert configuration_file("UCF101", "--data") == "UCF101"
