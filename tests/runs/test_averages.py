"""An average as a model: tested, predicted and timed as any network, and never trained."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyarrow import csv

from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.models.average import read_parts
from benchmark.results.clip_scores import SPLITS, ClipScores
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from benchmark.runs.averages import FILE_NAME, average_facts, write_average
from tests.generators.small_test import CONF, options

AVERAGE = CONF.with_name("average.yaml")
SLOW = CONF.with_name("slow_fusion.yaml")


def words(root: Path, run: Path, conf: Path, *more: str) -> list[str]:
    """The small test's options with another configuration; an average has no width."""
    held = options(root, run, *more, report=None)
    held[held.index(str(CONF))] = str(conf)
    place = held.index("--model.width")
    return held[:place] + held[place + 2 :] if conf == AVERAGE else held


@pytest.fixture(scope="module")
def slow(small_set: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of another network, which reads other frames at another size, trained on fold 1."""
    run = tmp_path_factory.mktemp("slow") / "run"
    assert main(["fit", *words(small_set, run, SLOW)]) == 0
    return str(run / "checkpoints/last.ckpt")


@pytest.fixture(scope="module")
def averaged(small_set: Path, checkpoint: str, slow: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of the test of their average."""
    run = tmp_path_factory.mktemp("average") / "run"
    given = ["--model.checkpoints", f"[{checkpoint},{slow}]"]
    assert main(["test", *words(small_set, run, AVERAGE, *given)]) == 0
    return run


def test_the_model_and_the_ledgers_give_the_same_average(
    small_set: Path, tested: Path, slow: str, averaged: Path, tmp_path: Path
) -> None:
    assert main(["test", *words(small_set, tmp_path / "slow", SLOW), "--ckpt_path", slow]) == 0
    assert main(["average", str(tested), str(tmp_path / "slow"), "--run_dir", str(tmp_path / "average")]) == 0
    model, ledgers = Ledger.read(averaged), Ledger.read(tmp_path / "average")
    assert model.table["status"].equals(ledgers.table["status"])
    assert model.table["clip_starts"].equals(ledgers.table["clip_starts"])
    assert model.failures() == ledgers.failures()
    assert len(model.failures()) == 1
    np.testing.assert_allclose(model.scores, ledgers.scores, rtol=0, atol=1e-6)
    assert model.table["clip_ranks"].equals(ledgers.table["clip_ranks"])
    for split in SPLITS:
        mine, theirs = (ClipScores.read(run / "clips.parquet").said(split) for run in (averaged, tmp_path / "average"))
        assert mine.video_ids == theirs.video_ids
        np.testing.assert_allclose(mine.scores, theirs.scores, rtol=0, atol=1e-6)
    one, other = Record.read(averaged), Record.read(tmp_path / "average")
    assert one.average is not None
    assert other.average is not None
    assert [m.checkpoint_sha256 for m in one.average.members] == [m.checkpoint_sha256 for m in other.average.members]
    assert one.name == other.name == "Average of SingleFrame, multires, width 0.05 + SlowFusion, full, width 0.05"
    assert one.model.parameters == other.model.parameters
    assert one.model.gflop_per_clip == pytest.approx(other.model.gflop_per_clip)
    assert one.model.frame_offsets == other.model.frame_offsets
    assert one.checkpoint.provenance == other.checkpoint.provenance == "clean"
    assert one.metrics["clip_hit1"].value is not None


def test_the_same_members_give_the_same_bytes(checkpoint: str, slow: str, averaged: Path, tmp_path: Path) -> None:
    again = write_average({"checkpoints": [checkpoint, slow], "weights": None}, tmp_path)
    assert file_hash(Path(again)) == file_hash(averaged / FILE_NAME) == Record.read(averaged).checkpoint.sha256
    held = torch.load(again, weights_only=True)
    facts = average_facts(held)
    assert facts is not None
    assert [member.checkpoint_sha256 for member in facts.members] == [file_hash(Path(p)) for p in (checkpoint, slow)]
    weighed = torch.load(write_average({"checkpoints": [checkpoint, slow], "weights": [1, 3]}, tmp_path))
    given = average_facts(weighed)
    assert given is not None
    assert ([member.weight for member in given.members], given.weights) == ([0.25, 0.75], "given")


def test_it_has_seen_what_any_member_has(
    small_set: Path, checkpoint: str, slow: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "fit"
    assert main(["fit", *words(small_set, run, SLOW, "--data.fold", "2")]) == 0
    second = run / "checkpoints/last.ckpt"
    given = ["--model.checkpoints", f"[{checkpoint},{second}]"]
    assert main(["test", *words(small_set, tmp_path / "run", AVERAGE, *given)]) == 2
    assert "the checkpoint was trained or validated on" in capsys.readouterr().err
    parts = [torch.load(path, weights_only=True)["provenance"] for path in (checkpoint, second)]
    (tmp_path / "union").mkdir()
    write_average({"checkpoints": [checkpoint, str(second)]}, tmp_path / "union")
    union = torch.load(tmp_path / "union" / FILE_NAME, weights_only=True)["provenance"]
    assert set(union["seen"].tolist()) == {*parts[0]["seen"].tolist(), *parts[1]["seen"].tolist()}
    assert union["is_known"] is True
    held = torch.load(second, weights_only=True)
    del held["provenance"]
    torch.save(held, tmp_path / "stripped.ckpt")
    write_average({"checkpoints": [checkpoint, str(tmp_path / "stripped.ckpt")]}, tmp_path)
    assert torch.load(tmp_path / FILE_NAME, weights_only=True)["provenance"]["is_known"] is False


def test_a_fit_of_it_is_refused_and_leaves_nothing(
    small_set: Path, checkpoint: str, slow: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--model.checkpoints", f"[{checkpoint},{slow}]"]
    assert main(["fit", *words(small_set, tmp_path / "run", AVERAGE, *given)]) == 2
    assert "an Average is not trained: fit each member by itself" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_it_predicts_validates_and_is_timed(
    small_set: Path, checkpoint: str, slow: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("benchmark.speed.machine.matmul_peak_gflop_per_second", lambda dtype, device: 100.0)
    monkeypatch.setattr("benchmark.speed.machine.memory_bandwidth_bytes_per_second", lambda device: 1e10)
    given = ["--model.checkpoints", f"[{checkpoint},{slow}]"]
    video = next(small_set.rglob("v_Discs_g01_c01.*"))
    output = tmp_path / "top.csv"
    more = ["--predict.videos", str(video), "--predict.output", str(output)]
    assert main(["predict", *words(small_set, tmp_path / "predict", AVERAGE, *given), *more]) == 0
    assert csv.read_csv(output).num_rows == 1
    assert main(["validate", *words(small_set, tmp_path / "validate", AVERAGE, *given)]) == 0
    capsys.readouterr()
    short = ["--speed.clips", "2", "--speed.steps", "2", "--speed.rounds", "2"]
    assert main(["speed", *words(small_set, tmp_path / "speed", AVERAGE, *given), *short]) == 0
    assert "1: SingleFrame, multires, width 0.05" in capsys.readouterr().out
    report = json.loads((tmp_path / "speed/speed.json").read_text("utf-8"))
    assert report["training"] is None
    assert report["scoring"]["whole"]["clips"] == [4, 4]
    assert len(report["scoring"]["members"]) == 2


def test_it_is_reproduced_from_its_one_checkpoint(averaged: Path, small_set: Path) -> None:
    path = averaged / FILE_NAME
    given = ["--ckpt_path", str(path), "--videos", "4", "--data_root", str(small_set)]
    assert main(["leaderboard", "reproduce", str(averaged), *given]) == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda members: members[0].pop("share"),
        lambda members: members[0].pop("name"),
        lambda members: members[0].update(share=2.0),
        lambda members: members[0].update(sha256="no hash"),
        lambda members: members[0].update(shape={}),
        lambda members: members.pop(),
        lambda members: members.append(3),
    ],
)
def test_a_damaged_list_of_members_is_one_message(damage: Any, averaged: Path, tmp_path: Path) -> None:
    held = torch.load(averaged / FILE_NAME, weights_only=True)
    damage(held["average"])
    torch.save(held, tmp_path / "damaged.ckpt")
    with pytest.raises(UserError, match="list of members is damaged"):
        average_facts(held)
    with pytest.raises(UserError, match=r"damaged\.ckpt of model\.checkpoints is an average, and its list of members"):
        read_parts([tmp_path / "damaged.ckpt"])
