import csv
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest

import benchmark
from benchmark.cli import main
from tests.generators.small_test import BROKEN, options


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seconds", [None, 0.2])
def test_predictions_in_python_are_those_of_the_verb(
    seconds: float | None, small_set: Path, checkpoint: str, tmp_path: Path
) -> None:
    files = sorted(small_set.rglob("*.mp4"))
    chosen = [*files[:3], min(small_set.rglob(f"{BROKEN}.*"))]  # other tests generate another set beside this one
    table = tmp_path / "top.csv"
    named = "[" + ",".join(map(str, chosen)) + "]"
    words = ["--ckpt_path", checkpoint, "--predict.videos", named, "--predict.output", str(table), "--predict.top", "3"]
    words += ["--data.clip_seconds", str(seconds)] if seconds else []
    assert main(["predict", *options(small_set, tmp_path / "run", report=None), *words]) == 0
    model = benchmark.load(checkpoint)
    given: dict[str, Any] = {"top": 3, "clips": 3, "batch_size": 4, "precision": "32-true", "accelerator": "cpu"}
    found = model.predict(chosen, clip_seconds=seconds, **given).to_pylist()
    assert (found == model.predict(chosen, **given).to_pylist()) is (seconds is None)
    said = list(csv.DictReader(table.open(encoding="utf-8")))
    assert len(found) == len(said) == 4
    for mine, theirs in zip(found, said, strict=True):
        assert mine["video"] == theirs["video"]
        assert (mine["failed"] or "") == theirs["failed"]
        for place in (1, 2, 3):
            assert (mine[f"class_{place}"] or "") == theirs[f"class_{place}"]
            if theirs["failed"]:
                assert mine[f"probability_{place}"] is None
            else:
                assert mine[f"probability_{place}"] == float(theirs[f"probability_{place}"])
    assert sum(bool(row["failed"]) for row in said) == 1


@pytest.mark.filterwarnings("ignore")
def test_a_model_knows_its_classes_and_gives_them_all(small_set: Path, checkpoint: str) -> None:
    model = benchmark.load(checkpoint)
    video = next(small_set.rglob("v_Discs_g01_c01.*"))
    level, filters = logging.getLogger("lightning.pytorch").level, list(warnings.filters)
    (row,) = model.predict(str(video), top=None, clips=1, views=["centre"], accelerator="cpu").to_pylist()
    columns = [f"{name}_{place + 1}" for place in range(16) for name in ("class", "probability")]
    assert list(row) == ["video", *columns, "failed"]
    assert {row[f"class_{place + 1}"] for place in range(16)} == set(model.class_names)
    assert sum(row[f"probability_{place + 1}"] for place in range(16)) == pytest.approx(1, abs=1e-5)
    assert not model.network.training
    # What the user's own process shows of Lightning, and of warnings, is as it was.
    assert logging.getLogger("lightning.pytorch").level == level != logging.WARNING
    assert list(warnings.filters) == filters


def test_what_cannot_be_predicted_is_said(checkpoint: str, tmp_path: Path) -> None:
    with pytest.raises(benchmark.UserError, match=r"checkpoint .*gone.ckpt: there is no such file"):
        benchmark.load(tmp_path / "gone.ckpt")
    model = benchmark.load(checkpoint)
    with pytest.raises(benchmark.UserError, match=r"^paths names .*gone.mp4, which does not exist"):
        model.predict(tmp_path / "gone.mp4", accelerator="cpu")
    with pytest.raises(benchmark.UserError, match=r"top is 0; it must be 1 or more"):
        model.predict(tmp_path, top=0)
