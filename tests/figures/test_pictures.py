"""Pictures as files: what is in them can be found again in their pixels, and names of others do no harm."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import matplotlib as mpl
from PIL import Image

from benchmark.errors import UserError
from benchmark.figures.charts import draw_confusions, draw_costs, draw_curves, draw_groups
from benchmark.figures.filter_pictures import draw_filters, draw_moving_filters
from benchmark.figures.filters import contrasts, measure
from benchmark.figures.gallery import Gallery
from benchmark.figures.strips import Opinion, Strip, draw_strips
from benchmark.figures.style import BLUE, GREEN, GREY, RED
from benchmark.results.curves import read_curves
from tests.generators.ledgers import make_ledger, make_record

FILTERS = np.random.default_rng(0).normal(size=(6, 4, 3, 11, 11))
HOSTILE = ("$\\frac{1}{0}$", "<b>", "a\u202eb", "\u4e2d\u6587", "x" * 300, "")


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def share(path: Path, colour: str, blend: float = 1.0) -> float:
    """Share of the pixels that are of a colour, laid over the light grey of an empty bar."""
    wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)])
    ground = np.array([0xF1, 0xF3, 0xF5])
    mixed = np.round(blend * wanted + (1 - blend) * ground)
    return float((np.abs(pixels(path) - mixed).max(2) <= 2).mean())


def strip(
    probabilities: tuple[float, ...], truth: tuple[str, ...] = ("a",), names: tuple[str, ...] = ("a", "b")
) -> Strip:
    return Strip("video", np.full((5, 40, 40, 3), 7, np.uint8), truth, (Opinion("", names, probabilities),))


def test_bars_are_as_long_as_the_probabilities_and_of_the_right_colours(tmp_path: Path) -> None:
    path = tmp_path / "strip.png"
    draw_strips([strip((0.9, 0.1))], path)
    right, wrong = share(path, GREEN, 0.75), share(path, RED, 0.75)
    assert 6 < right / wrong < 12  # less what the letters cover
    assert share(path, BLUE) > right
    assert share(path, "#070707") > 0.1  # the frames
    draw_strips([strip((0.9, 0.1), truth=("b",))], path)
    assert share(path, RED, 0.75) > 5 * share(path, GREEN, 0.75)
    draw_strips([strip((0.9, 0.1), truth=())], path)
    assert share(path, BLUE) + share(path, GREEN, 0.75) + share(path, RED, 0.75) == 0
    assert share(path, GREY) > 0.05


def test_a_video_that_cannot_be_read_and_names_of_others_are_drawn(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    videos = [dataclasses.replace(strip((0.5, 0.2)), frames=None, video=name, truth=(name,)) for name in HOSTILE]
    draw_strips([*videos, strip((0.3, 0.2), names=(HOSTILE[0], HOSTILE[4]))], tmp_path / "strips.png")
    assert not [str(warning.message) for warning in recwarn]


def test_moving_filters_move(tmp_path: Path) -> None:
    path = tmp_path / "moving.png"
    draw_moving_filters({"full": FILTERS, "still": FILTERS[:, :1]}, path)
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == 4
        frames = []
        for number in range(4):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGB")).copy())
    half = frames[0].shape[1] // 2
    assert all((one[:, :half] != other[:, :half]).any() for one, other in itertools.pairwise(frames))
    assert all((one[:, half:] == frames[0][:, half:]).all() for one in frames)


def test_the_same_numbers_give_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert draw_filters({"full": FILTERS}, tmp_path / f"{name}.png") == {"full": measure(FILTERS)}
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_contrasts_of_streams_against_a_loop() -> None:
    other = np.random.default_rng(1).normal(size=(40, 1, 3, 11, 11))
    grey = other.mean(2, keepdims=True).repeat(3, 2)
    found = contrasts(other, 0.2 * other + grey)
    difference, low, high = found["colour_share"]
    assert difference == pytest.approx(measure(other).colour_share - measure(0.2 * other + grey).colour_share)
    assert 0 < low < difference < high
    rng = np.random.default_rng(0)
    first, second = (rng.integers(40, size=(2000, 40)) for _ in range(2))
    drawn = [
        measure(other[a]).colour_share - measure((0.2 * other + grey)[b]).colour_share
        for a, b in zip(first[:200], second[:200], strict=True)
    ]
    assert np.quantile(drawn, (0.025, 0.975)) == pytest.approx([low, high], abs=0.01)


def test_a_log_of_a_fit_that_went_on_is_read_as_one(tmp_path: Path) -> None:
    for version, rows in ((0, "0,1,2.5,\n0,1,,0.1\n1,2,2.0,\n"), (1, "1,2,1.9,\n1,2,,0.2\n2,3,1.5,\n")):
        folder = tmp_path / f"csv/version_{version}"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text(f"epoch,step,train/loss_epoch,val/clip_hit1\n{rows}", "utf-8")
    curves = read_curves(tmp_path)
    assert curves == {"train/loss_epoch": ([1, 2, 3], [2.5, 1.9, 1.5]), "val/clip_hit1": ([1, 2], [0.1, 0.2])}
    draw_curves({"fit": curves}, tmp_path / "curves.png")
    with pytest.raises(UserError, match=r"has no csv/version_\*"):
        read_curves(tmp_path / "csv")


def test_confusions_are_as_dark_as_they_are_many(tmp_path: Path) -> None:
    ledger = make_ledger(videos=60, classes=3, several=0, failed=0)
    draw_confusions(ledger, tmp_path / "confusions.png")
    shown = pixels(tmp_path / "confusions.png")
    for true in range(3):
        rows = [row for row in range(60) if ledger.labels[row, true]]
        for called in range(3):
            part = sum(int(ledger.scores[row].argmax()) == called for row in rows) / len(rows)
            colour = mpl.colormaps["Blues"](part, bytes=True)[:3]
            assert (np.abs(shown - np.array(colour, float)).max(2) <= 1).sum() > 500  # a field of the matrix


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    record = make_record(make_ledger(groups=0), clips_per_second=None)
    with pytest.raises(UserError, match="no record has a measured speed"):
        draw_costs({"a": record}, tmp_path / "a.png")
    with pytest.raises(UserError, match="the classes have no groups"):
        draw_groups({"a": record.metrics}, tmp_path / "a.png")
    gallery = Gallery(tmp_path)
    gallery.costs({"a": record})
    gallery.groups({"a": record.metrics})
    gallery.curves({})
    gallery.filters("head", {"weight": np.zeros((3, 4))})
    assert not gallery.pictures
    assert set(gallery.holes) == {
        "Accuracy and speed",
        "Average precision by group of classes",
        "Training",
        "First-layer filters of head",
    }
    assert not list(tmp_path.iterdir())


def test_two_entries_of_one_name_have_their_own_files(tmp_path: Path) -> None:
    gallery, ledger = Gallery(tmp_path, videos=1), make_ledger(videos=20, classes=3)
    for name in ("a/b", "a b", "../../a b"):
        gallery.confusions(name, ledger)
    files = [picture.file for picture in gallery.pictures]
    assert files == ["confusions-a-b.png", "confusions-a-b-1.png", "confusions-..-..-a-b.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)
