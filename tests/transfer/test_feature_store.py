"""Fits on stored features against fits that run the whole network."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.cli import main
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.loader import EpochBatches
from benchmark.data.synthetic import read_synthetic_index
from benchmark.models import SingleFrame, SlowFusion, VideoClassifier
from benchmark.transfer.feature_store import FeatureStore, lower_part
from benchmark.transfer.stored_features import FeatureLoaders, StoredFeatures
from tests.transfer.test_carrying import fit

EPOCHS = ["--trainer.max_epochs", "3", "--data.clips_per_video.train", "2", "--data.fold", "3"]
"""Fold 3 validates on the video that cannot be read."""


def weights(run: Path) -> dict[str, torch.Tensor]:
    held: dict[str, torch.Tensor] = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return held


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was stored by fits in this process."""
    found: list[dict[str, Any]] = []
    made = FeatureLoaders.__init__

    def note(self: FeatureLoaders, stored: StoredFeatures, data: VideoDataModule) -> None:
        made(self, stored, data)
        found.append({**vars(stored), "values": stored.values.clone(), "data": data})

    monkeypatch.setattr(FeatureLoaders, "__init__", note)
    return found


@pytest.mark.parametrize("regime", ["top", "top3"])
def test_training_on_features_is_training_on_frames(
    small_set: Path,
    pretrained: str,
    tmp_path: Path,
    kept: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    regime: str,
) -> None:
    with pytest.warns(UserWarning, match="1 video could not be read and was not validated"):
        assert main(fit(small_set, tmp_path / "stored", regime, pretrained, *EPOCHS)) == 0
    assert "float32 each" in capsys.readouterr().out
    assert not (tmp_path / "stored/features").exists()
    (parts,) = kept

    # The features are those of an uncached forward pass of the same draws.
    data, features = parts["data"], parts["values"]
    network = SingleFrame(4, resolution="multires", width=0.05).eval()
    network.load_state_dict(weights(tmp_path / "stored"))
    with torch.no_grad():
        for place in range(0, len(features), 5):
            row, clip, draw = parts["keys"][place].tolist()
            sample = data.loaders.drawn(np.array([[row, clip, draw]])).dataset[np.array([[row, clip, draw]])]
            again = lower_part(network, torch.from_numpy(sample.frames), parts["first_layer"])
            torch.testing.assert_close(again[0], features[place])
    draws = {tuple(key) for key in parts["keys"].tolist()}
    assert len({draw for _, _, draw in draws}) == 2  # three epochs visit each of two clips once or twice

    # With the same draws, training on frames ends with the same weights and scores.
    batches = VideoDataModule.training_batches
    monkeypatch.setattr(VideoDataModule, "training_batches", lambda self, draws=None: batches(self, 4))
    uncached = fit(small_set, tmp_path / "frames", regime, pretrained, *EPOCHS, "--transfer.feature_draws", "0")
    assert main(uncached) == 0
    assert "no features are stored (transfer.feature_draws is 0)" in capsys.readouterr().out
    assert len(kept) == 1
    first, second = weights(tmp_path / "stored"), weights(tmp_path / "frames")
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-4, atol=1e-6)
    scores = [
        torch.load(tmp_path / run / "checkpoints/best.ckpt", weights_only=True)["callbacks"]
        for run in ("stored", "frames")
    ]
    chosen = [
        [
            state["best_model_score"]
            for state in held.values()
            if "best_model_score" in state and state["monitor"] == "val/clip_hit1"
        ]
        for held in scores
    ]
    assert len(chosen[0]) == 1
    assert chosen[0] == chosen[1]


def test_a_fit_on_features_killed_in_mid_epoch_and_resumed_equals_one_that_was_not(
    small_set: Path, pretrained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: list[dict[str, Any]]
) -> None:
    died, step = KeyboardInterrupt("killed"), VideoClassifier.training_step
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    often = [*EPOCHS, "--data.fold", "1", "--checkpoint.minutes", "0.00001", "--data.batch_size", "2"]
    cache = ["--transfer.cache", str(tmp_path / "cache")]

    def die(self: VideoClassifier, batch: Any, batch_idx: int) -> Any:
        if self.global_step == 6:
            raise died
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(VideoClassifier, "training_step", die)
        assert main(fit(small_set, broken, "top3", pretrained, *often, *cache)) == 130
    steps = torch.load(broken / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert steps % 4 != 0  # in the middle of an epoch of four steps
    (stored,) = tmp_path.glob("cache/*/features.bin")
    moment = stored.stat().st_mtime_ns
    assert main([*fit(small_set, broken, "top3", pretrained, *often, *cache), "--ckpt_path", "last"]) == 0
    assert stored.stat().st_mtime_ns == moment  # found, not made again
    assert main(fit(small_set, whole, "top3", pretrained, *often)) == 0
    first, second = weights(broken), weights(whole)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert torch.equal(kept[0]["values"], kept[2]["values"])


def test_other_frozen_layers_are_not_served_from_a_cache(
    small_set: Path, pretrained: str, tmp_path: Path, kept: list[dict[str, Any]]
) -> None:
    cache = ["--transfer.cache", str(tmp_path / "cache")]
    grey = ("--data.augmentation.grey", "1")
    for regime, *more in (
        ("top3", "--data.seed", "0"),
        ("top", "--data.seed", "0"),
        ("top", "--data.seed", "1"),
        ("top", "--data.seed", "1"),
        ("top", "--data.seed", "1", *grey),
    ):
        run = tmp_path / f"run{len(kept)}"
        assert main(fit(small_set, run, regime, pretrained, *cache, *more)) == 0
    shapes = [tuple(parts["values"].shape) for parts in kept]
    assert shapes[0] != shapes[1]
    assert not torch.equal(kept[1]["values"], kept[2]["values"])
    assert torch.equal(kept[2]["values"], kept[3]["values"])
    assert not torch.equal(kept[3]["values"], kept[4]["values"])


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders into which features were worked out by fits in this process."""
    found: list[Path] = []
    compute = FeatureStore._compute

    def note(self: FeatureStore, *parts: Any) -> bool:
        found.append(parts[-1])
        return compute(self, *parts)

    monkeypatch.setattr(FeatureStore, "_compute", note)
    return found


def index_paths(root: Path) -> list[Path]:
    """Files of the smallest set in a folder."""
    index = read_synthetic_index(root, source_groups=3)
    return [index.root / path for path in index.table["path"].to_pylist()]


def test_a_cache_is_found_again_only_whole_and_of_the_same_files(
    small_set: Path, pretrained: str, tmp_path: Path, computed: list[Path]
) -> None:
    videos, cache = tmp_path / "videos", tmp_path / "cache"
    shutil.copytree(small_set, videos)
    cache.mkdir()
    (cache / "theirs.txt").write_text("not ours", "utf-8")
    train = ["--transfer.cache", str(cache)]

    def runs(*more: str) -> int:
        count = len(computed)
        run = tmp_path / f"run{count}-{len(more)}"
        shutil.rmtree(run, ignore_errors=True)
        assert main(fit(videos, run, "top", pretrained, *train, *more)) == 0
        return len(computed) - count

    other = ("--data.seed", "1")
    assert [runs(), runs(*other), runs(), runs(*other)] == [1, 1, 0, 0]  # they do not overwrite each other
    assert len(list(cache.glob("*/features.bin"))) == 2
    for path in cache.glob("*/features.bin"):
        path.unlink()
    assert [runs(), runs()] == [1, 0]
    # Through the index, since other tests may have left larger sets in the same folder.
    (changed,) = [path for path in index_paths(videos) if path.stem == "v_Expand_g02_c01"]
    os.utime(changed, ns=(0, 0))
    assert runs() == 1
    assert (cache / "theirs.txt").read_text("utf-8") == "not ours"
    assert not list(cache.glob("*.new"))


def test_features_beside_a_video_that_could_not_be_read_serve_one_fit_alone(
    small_set: Path, pretrained: str, tmp_path: Path, computed: list[Path]
) -> None:
    train = ["--data.fold", "3", "--transfer.cache", str(tmp_path / "cache")]
    for run in ("a", "b"):
        with pytest.warns(UserWarning, match="could not be read"):
            assert main(fit(small_set, tmp_path / run, "top", pretrained, *train)) == 0
    assert len(computed) == 2
    assert list((tmp_path / "cache").iterdir()) == []


def test_who_is_slower_takes_the_features_of_who_was_quicker(
    small_set: Path, pretrained: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computed: list[Path]
) -> None:
    cache, compute = tmp_path / "cache", FeatureStore._compute

    def overtaken(self: FeatureStore, *parts: Any) -> bool:
        is_whole, unfinished = compute(self, *parts), parts[-1]
        shutil.copytree(unfinished, cache / unfinished.name.partition("-")[0])
        return is_whole

    monkeypatch.setattr(FeatureStore, "_compute", overtaken)
    assert main(fit(small_set, tmp_path / "run", "top", pretrained, "--transfer.cache", str(cache))) == 0
    assert [path.name for path in cache.iterdir()] == [computed[0].name.partition("-")[0]]


def test_a_run_folder_keeps_what_else_lies_beside_its_features(
    small_set: Path, pretrained: str, tmp_path: Path
) -> None:
    other = tmp_path / "run/features/theirs.txt"
    other.parent.mkdir(parents=True)
    other.touch()
    assert main(fit(small_set, tmp_path / "run", "top", pretrained)) == 0
    assert list(other.parent.iterdir()) == [other]


def test_features_that_are_too_large_are_refused(
    small_set: Path, pretrained: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit(small_set, tmp_path / "run", "top", pretrained, "--transfer.cache_gb", "0.000001")) == 2
    message = capsys.readouterr().err
    assert "take " in message
    assert "clips_per_video.train" in message
    assert "grid.cache_gb" in message


class Liar(SingleFrame):
    """Does more in `forward` than its parts say."""

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = super().forward(clips) * 2 + 1
        return logits


def test_a_network_that_is_not_what_it_splits_into_is_refused(
    small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", "tests.transfer.test_feature_store.Liar", *("--model.width", "0.05")]
    model += ["--model.resolution", "multires"]
    words = fit(small_set, tmp_path / "pre", "scratch", None, *model)
    assert main(words) == 0
    assert "no layer is frozen" in capsys.readouterr().out
    source = str(tmp_path / "pre/checkpoints/last.ckpt")
    assert main(fit(small_set, tmp_path / "run", "top", source, *model)) == 2
    assert "forward is not forward_head(forward_features(clips))" in capsys.readouterr().err


def test_every_strategy_splits_where_its_fully_connected_layers_begin() -> None:
    network = SlowFusion(5, width=0.05).eval()
    clips = torch.randint(0, 256, (2, 10, 170, 170, 3), dtype=torch.uint8)
    with torch.no_grad():
        whole = network(clips)
        for first in range(len(network.head_layers)):
            seen = lower_part(network, clips, first)
            for layer in list(network.head_layers)[first:]:
                seen = layer(seen)
            assert torch.equal(seen, whole)


def test_stored_features_are_read_in_the_order_of_training(tmp_path: Path) -> None:
    sampler = EpochBatches(np.array([0, 1]), 2, clips_per_video=3, clips_per_epoch=1, seed=0, draws=4)
    keys = sampler.keys(100)
    assert len(keys) == 2 * 3 * 4
    held = StoredFeatures(keys, torch.zeros(len(keys), 2), 4, 0, {0: [0], 1: [1]}, {}, [])
    assert len(held.batch(keys[3:5], 2)) == 2
