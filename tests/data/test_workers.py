"""Loader workers give the same batches however they are started, and never outlive their main process."""

import contextlib
import importlib
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from benchmark.clip import ClipBatch
from benchmark.data import workers
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.index import VideoIndex
from benchmark.data.preprocess import Augmentation
from benchmark.data.workers import begin_worker, require_shared_memory, worker_options
from benchmark.errors import UserError
from tests.data.test_datamodule import FEW, SmallVideos, attached
from tests.generators.indexes import small_index

ROOT = Path(__file__).resolve().parents[2]
START_METHODS = multiprocessing.get_all_start_methods()
HAS_CACHE = importlib.util.find_spec("fcntl") is not None

LOOSE = '''
"""A data module in a file of the user's own, whose clips are negatives."""

import dataclasses

from benchmark.data.datamodule import VideoDataModule
from benchmark.data.dataset import TrainingClips


class Negatives(TrainingClips):
    def __getitem__(self, key):
        sample = super().__getitem__(key)
        return dataclasses.replace(sample, frames=255 - sample.frames) if hasattr(sample, "frames") else sample


class LooseVideos(VideoDataModule):
    def __init__(self, videos, **settings):
        super().__init__(videos.root, **settings)
        self.videos = videos

    def read_index(self):
        return self.videos

    def train_dataloader(self):
        loader = super().train_dataloader()
        loader.dataset.__class__ = Negatives
        return loader
'''


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> VideoIndex:
    return small_index(tmp_path_factory.mktemp("videos"))


@pytest.fixture
def loose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[SmallVideos]]:
    """The class of a file in a folder that is on the path of this process alone."""
    (tmp_path / "loose_videos.py").write_text(LOOSE, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("loose_videos").LooseVideos
    del sys.modules["loose_videos"]


def batches(data: VideoDataModule, folder: Path, *, validates: bool = True) -> list[ClipBatch]:
    """Two epochs of training, and one validation if wanted."""
    attached(data).trainer.default_root_dir = str(folder)  # type: ignore[union-attr, misc]
    train = data.train_dataloader()
    found: list[ClipBatch] = []
    for epoch in range(2):
        train.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
        found += train
    found += data.val_dataloader() if validates else ()
    data.teardown("fit")
    return found


def assert_equal(left: list[ClipBatch], right: list[ClipBatch]) -> None:
    assert len(left) == len(right) > 3
    for one, two in zip(left, right, strict=True):
        for name in ("frames", "labels", "rows", "clips", "starts", "padded"):
            assert torch.equal(getattr(one, name), getattr(two, name)), name
        assert one.failures == two.failures


SETTINGS: dict[str, Any] = {
    "clips_per_video": FEW,
    "batch_size": 2,
    "augmentation": Augmentation(smallest_region=0.3, aspect_ratio=1.3, colour=0.4, grey=0.3),
}


@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize(("workers", "cache"), [(1, "off"), (2, "memory"), (1, "disk")] if HAS_CACHE else [(2, "off")])
def test_batches_are_the_same_however_workers_start(
    videos: VideoIndex, loose: type[SmallVideos], tmp_path: Path, start_method: str, workers: int, cache: str
) -> None:
    if cache == "memory" and not Path("/dev/shm").is_dir():
        pytest.skip("no memory file system here")
    kept = {"cache": cache, "cache_gb": 0.05, "cache_dir": tmp_path / "cache"}
    validates = cache == "off"
    alone = batches(loose(videos, **SETTINGS, num_workers=0), tmp_path, validates=validates)
    plain = batches(SmallVideos(videos, **SETTINGS), tmp_path)
    assert not torch.equal(alone[0].frames, plain[0].frames)  # the class of the file is the one used
    started = loose(videos, **SETTINGS, **kept, num_workers=workers, multiprocessing_context=start_method)
    assert_equal(batches(started, tmp_path, validates=validates), alone)
    assert any(batch.failures for batch in alone)


def test_without_workers_a_way_to_start_them_is_of_no_account(videos: VideoIndex, tmp_path: Path) -> None:
    assert_equal(
        batches(SmallVideos(videos, **SETTINGS, multiprocessing_context="spawn"), tmp_path),
        batches(SmallVideos(videos, **SETTINGS), tmp_path),
    )


def test_an_unknown_way_to_start_workers_is_refused(videos: VideoIndex) -> None:
    with pytest.raises(UserError, match=r"multiprocessing_context is thread; allowed on this system are .*spawn"):
        SmallVideos(videos, multiprocessing_context="thread")


class _Facts(Dataset[tuple[int, int]]):
    """Niceness, and PyTorch's threads."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, row: int) -> tuple[int, int]:
        nice = os.nice(0) if hasattr(os, "nice") else 0
        return nice, torch.get_num_threads()


@pytest.mark.parametrize("start_method", START_METHODS)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_workers_have_the_settings_of_their_main_process(device: str, start_method: str) -> None:
    options = worker_options(1, start_method, device)  # type: ignore[arg-type]
    options["pin_memory"] = False  # there may be no GPU to pin it for
    ((nice, threads),) = DataLoader(_Facts(), batch_size=None, **options)
    assert nice == (os.nice(0) if hasattr(os, "nice") else 0)  # a nicer one starves beside other people's work
    assert threads == 1


def test_the_main_process_is_no_worker() -> None:
    before = os.nice(0) if hasattr(os, "nice") else 0
    begin_worker(0)
    assert (os.nice(0) if hasattr(os, "nice") else 0) == before


STUCK = '''
"""Data whose workers get stuck in their third clip each, as in a decoder that does not return."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

from benchmark.data.dataset import TrainingClips
from benchmark.data.synthetic import SyntheticActions


class Stuck(TrainingClips):
    read = 0

    def __getitem__(self, key):
        self.read += 1
        if self.read == 3:
            Path(f"stuck-{os.getpid()}").touch()
            while True:
                time.sleep(60)
        return super().__getitem__(key)


class StuckVideos(SyntheticActions):
    def train_dataloader(self):
        loader = super().train_dataloader()
        loader.dataset.__class__ = Stuck
        return loader
'''


@pytest.mark.parametrize("start_method", START_METHODS)
def test_no_worker_outlives_a_fit_that_is_killed(small_set: Path, tmp_path: Path, start_method: str) -> None:
    (tmp_path / "stuck.py").write_text(STUCK, "utf-8")
    words = [
        "fit",
        "--config",
        str(ROOT / "conf/multires.yaml"),
        "--data",
        "stuck.StuckVideos",
        "--model.width",
        "0.05",
    ]
    words += ["--data.root", str(small_set), "--data.source_groups", "3", "--data.num_workers", "2"]
    words += ["--data.batch_size", "2", "--data.multiprocessing_context", start_method, "--trainer.logger", "false"]
    fit = subprocess.Popen(
        [sys.executable, "-m", "benchmark", *words, "--run_dir", "run", "--trainer.accelerator", "cpu"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    deadline = time.monotonic() + 200
    while len(list(tmp_path.glob("stuck-*"))) < 2:
        assert fit.poll() is None, fit.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    fit.kill()
    begun = time.monotonic()
    try:
        fit.communicate(timeout=240)  # the output ends when nobody is left who could write to it
    except subprocess.TimeoutExpired:
        for left in tmp_path.glob("stuck-*"):
            with contextlib.suppress(OSError):
                os.kill(int(left.name.partition("-")[2]), 9)
        raise
    print(f"gone {time.monotonic() - begun:.1f} s after the fit")


def test_workers_whose_batches_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(workers, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=16_000, f_frsize=4096))  # Docker's 64 MB
    require_shared_memory(30_000_000, 1)
    require_shared_memory(10**12, 0)
    with pytest.raises(UserError, match=r"has 66 MB left, and 2 workers with batches of 30 MB need up to 120\."):
        require_shared_memory(30_000_000, 2)
    require_shared_memory(30_000_000, 1, left_by_cache=10**9)  # which is more than there is
    said = r"will have, beside data\.cache=memory, 50 MB left, and 1 workers .* lower data\.cache_gb, lower"
    with pytest.raises(UserError, match=said):
        require_shared_memory(30_000_000, 1, left_by_cache=50_000_000)
    monkeypatch.setattr(workers, "_SHARED_MEMORY", tmp_path / "not there")
    require_shared_memory(10**12, 2)
