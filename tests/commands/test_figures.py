"""The verb `figures`, and `predict --figure`, on a small fit and test."""

from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

import numpy as np
from PIL import Image

from benchmark.cli import main
from tests.generators.ledgers import make_ledger, write_run
from tests.generators.small_test import options


def test_all_that_a_fit_and_a_test_have_to_show(
    tested: Path, checkpoint: str, small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = Path(checkpoint).parents[1]
    assert main(["figures", str(tested), checkpoint, "--out", str(tmp_path), "--videos", "3"]) == 0
    shown = capsys.readouterr().out
    files = sorted(path.name for path in tmp_path.iterdir())
    name = "singleframe-multires-width-0.05"
    assert files == [
        f"confusions-{name}.png",
        f"filters-{name}.png",
        "groups.png",
        f"predictions-{name}.png",
        "speed.png",
    ]
    assert all(str(tmp_path / file) in shown for file in files)
    assert "not drawn: Training: no run folder of a fit was given" in shown
    assert "of the filters' energy is colour" in shown
    with Image.open(tmp_path / f"predictions-{name}.png") as strips:
        small = np.asarray(strips.convert("RGB").resize((60, 30)))
        assert len(np.unique(small.reshape(-1, 3), axis=0)) > 200  # frames, not empty boxes
    assert main(["figures", str(fit), "--out", str(tmp_path / "fit")]) == 0
    assert "not drawn: Training" in capsys.readouterr().out  # it was trained without a logger


def test_two_tests_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        write_run(tmp_path / name, make_ledger(videos=40, classes=4, model_seed=seed), name=name)
    runs = [str(tmp_path / name) for name in ("one", "two")]
    assert main(["figures", *runs, "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    for file in ("classes-one-less-two", "improved-one-over-two", "worsened-one-over-two"):
        assert (tmp_path / f"out/{file}.png").is_file()
    assert "not drawn: Frames of the videos of one: the record's configuration names no model" in shown
    other = make_ledger(videos=40, classes=5)
    write_run(tmp_path / "three", other, name="three")
    assert main(["figures", runs[0], str(tmp_path / "three"), "--out", str(tmp_path / "out2")]) == 0
    assert "not drawn: one against three: the ledgers have 4 and 5 classes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "--out", "{0}/out"], "nowhere is neither a ledger.parquet nor a checkpoint"),
        (["{0}", "--out", "{0}/out", "--videos", "0"], "--videos is 0"),
        (["{0}", "--out", "{0}/file"], "--out"),
    ],
)
def test_what_a_user_can_cause_gets_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    write_run(tmp_path, make_ledger(videos=8, classes=3))
    (tmp_path / "file").touch()
    assert main(["figures", *(word.format(tmp_path) for word in words)]) == 2
    assert message in capsys.readouterr().err


def test_predictions_are_drawn(
    small_set: Path, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = sorted(small_set.rglob("v_Discs_g01_c0*"))[:2]
    words = options(
        *(small_set, tmp_path / "run", "--ckpt_path", checkpoint, "--predict.videos", f"[{videos[0]},{videos[1]}]"),
        report=None,
    )
    assert main(["predict", *words, "--figure", str(tmp_path / "seen.png")]) == 0
    assert f"wrote {tmp_path / 'seen.png'}" in capsys.readouterr().out
    with Image.open(tmp_path / "seen.png") as picture:
        assert picture.width > 2 * picture.height  # two strips beside each other
    assert main(["predict", *words, "--figure", str(tmp_path / "seen.gif")]) == 2
    assert "it must name a file that ends in .png" in capsys.readouterr().err
    assert main(["fit", *options(small_set, tmp_path / "fit"), "--figure", "x.png"]) == 2
    assert "--figure is an option of predict" in capsys.readouterr().err
