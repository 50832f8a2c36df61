"""Fit, test and predict of the histogram baseline on videos of a data module like any other."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

pytest.importorskip("skimage", reason="needs skimage, of the extra histograms")

from benchmark.cli import main
from benchmark.data import Identity, VideoDataModule, VideoIndex
from benchmark.data.index import Split
from benchmark.histograms import HistogramNetwork, words
from benchmark.histograms.store import Descriptions
from benchmark.histograms.whole_videos import prepare
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from tests.generators.scenes import scene, write_frames

CONF = Path(__file__).resolve().parents[2] / "conf/histograms.yaml"
CLASSES = ("left", "still")
SPLITS: tuple[Split, ...] = ("train", "train", "train", "validation", "test", "test")


class DriftingScenes(VideoDataModule):
    """Scenes that drift, and scenes that do not."""

    def __init__(self, root: Path, **shared: object) -> None:
        super().__init__(root, **shared)  # type: ignore[arg-type]

    def read_index(self) -> VideoIndex:
        names = [f"{kind}{number}" for kind in CLASSES for number in range(len(SPLITS))]
        return VideoIndex.from_columns(
            Identity("drifting"),
            Path(str(self.root)),
            CLASSES,
            video_id=names,
            path=[f"{name}.avi" for name in names],
            labels=[[place // len(SPLITS)] for place in range(len(names))],
            split=[SPLITS[place % len(SPLITS)] for place in range(len(names))],
        )


@pytest.fixture(autouse=True)
def few_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few that k-means is not needed: each is a word."""
    monkeypatch.setattr(words.sample, "__defaults__", (120,))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drifting")
    for place, kind in enumerate(CLASSES):
        for number in range(len(SPLITS)):
            frames = scene(10 * place + number, frames=12)
            write_frames(folder / f"{kind}{number}.avi", frames if kind == "left" else np.repeat(frames[:1], 12, 0))
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def options(root: Path, store: Path, run: Path, *more: str) -> list[str]:
    return [
        *("--config", str(CONF), "--data", "tests.histograms.test_whole_videos.DriftingScenes"),
        *("--data.root", str(root), "--data.num_workers", "0", "--data.batch_size", "4", "--model.width", "16"),
        *(
            "--model.store",
            str(store),
            "--model.only",
            "[hof]",
            "--trainer.max_epochs",
            "12",
            "--trainer.accelerator",
            "cpu",
        ),
        *("--trainer.enable_progress_bar", "false", "--trainer.logger", "false", "--run_dir", str(run), *more),
    ]


def test_a_fit_and_a_test_leave_an_entry_of_videos_alone(
    root: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = root / "still5.avi"
    held = broken.read_bytes()
    broken.write_bytes(b"no video")
    try:
        assert main(["fit", *options(root, store, tmp_path / "fit")]) == 0
        shown = capsys.readouterr().out
        assert "video@1" in shown
        assert "clip@1" not in shown
        last = str(tmp_path / "fit/checkpoints/last.ckpt")
        assert main(["test", *options(root, store, tmp_path / "test"), "--ckpt_path", last]) == 0
    finally:
        broken.write_bytes(held)
    record, ledger = Record.read(tmp_path / "test"), Ledger.read(tmp_path / "test")
    assert record.metrics["clip_hit1"].value is None
    assert record.metrics["video_hit1"].value == 0.75  # three are right, and the broken one counts as wrong
    assert record.decoded_only is not None
    assert record.decoded_only["video_hit1"].value == 1.0
    assert list(record.failed_videos) == ["still5"]
    assert record.checkpoint.provenance == "clean"
    assert record.throughput.clips_per_second is None
    assert record.model.gflop_per_clip is None
    assert record.model.frame_offsets == ()
    assert ledger.clips_per_video == 0
    assert ledger.clip_ranks.shape == (3, 0)
    assert main(["rescore", str(tmp_path / "test")]) == 0
    assert main(["compare", str(tmp_path / "test"), str(tmp_path / "test")]) == 0

    # What a network has seen, words included, it is not tested on.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DriftingScenes, "read_index", _swapped(DriftingScenes.read_index))
        assert main(["test", *options(root, store, tmp_path / "seen"), "--ckpt_path", last]) == 2
    assert "trained or validated on" in capsys.readouterr().err

    table = tmp_path / "top.parquet"
    chosen = ["--predict.videos", f"[{root / 'left4.avi'}]", "--predict.output", str(table)]
    assert main(["predict", *options(root, store, tmp_path / "predict"), "--ckpt_path", last, *chosen]) == 0
    assert pq.read_table(table)["class_1"].to_pylist() == ["left"]


def _swapped(read: object) -> object:
    def swapped(self: VideoDataModule) -> VideoIndex:
        index: VideoIndex = read(self)  # type: ignore[operator]
        names = {"train": "test", "test": "train", "validation": "validation"}
        splits = [names[split] for split in index.table["split"].to_pylist()]
        columns = {name: index.table[name].to_pylist() for name in index.table.column_names if name != "split"}
        return VideoIndex.from_columns(index.identity, index.root, index.class_names, split=splits, **columns)  # type: ignore[arg-type]

    return swapped


def test_words_see_no_video_but_those_of_training(root: Path, store: Path, tmp_path: Path) -> None:
    def learned(changed: str | None) -> dict[str, words.Words]:
        folder = tmp_path / str(changed)
        folder.mkdir()
        for path in root.glob("*.avi"):
            (folder / path.name).write_bytes(path.read_bytes())
        if changed is not None:
            write_frames(folder / f"{changed}.avi", scene(99, frames=12))
        network = HistogramNetwork(2, width=4, store=store)
        prepare(network, DriftingScenes(folder, num_workers=0))
        return network.words

    def same(one: dict[str, words.Words], other: dict[str, words.Words]) -> bool:
        return all(torch.equal(one[name].centres, other[name].centres) for name in one)

    first = learned(None)
    assert same(first, learned("left4"))  # of the test
    assert same(first, learned("left3"))  # of validation
    assert not same(first, learned("left0"))


def test_a_fit_looks_at_no_test_video(root: Path, tmp_path: Path) -> None:
    data = DriftingScenes(root, num_workers=0)
    network = HistogramNetwork(2, width=4, store=tmp_path)
    prepare(network, data)
    held = [Descriptions(tmp_path).holds(data.index.video(row)) for row in range(len(data.index))]
    assert held == [split != "test" for split in data.index.table["split"].to_pylist()]


def test_a_resumed_fit_repeats_one_that_was_not_stopped(root: Path, store: Path, tmp_path: Path) -> None:
    more = ["--model.dropout", "0.5", "--trainer.precision", "32-true"]
    part = ["--trainer.max_epochs", "4", "--model.recipe.cooldown", "0"]
    assert main(["fit", *options(root, store, tmp_path / "plain", *more, *part)]) == 0
    assert main(["fit", *options(root, store, tmp_path / "part", *more, *part, "--trainer.max_epochs", "2")]) == 0
    assert main(["fit", *options(root, store, tmp_path / "part", *more, *part), "--ckpt_path", "last"]) == 0
    one, other = (
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("plain", "part")
    )
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=0, atol=0)


def test_scores_of_clips_cannot_choose_its_weights(
    root: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *options(root, store, tmp_path / "fit"), "--checkpoint.monitor", "val/clip_hit1"]) == 2
    assert "a validation logs video_hit1" in capsys.readouterr().err.replace("val/", "")
