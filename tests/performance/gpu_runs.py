"""Whole runs on a device: a fit from the frame cache, and a test's ledger beside the processor's. See `gpu`."""

import csv
import functools
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmark.data.synthetic import read_synthetic_index
from benchmark.results.ledger import Ledger
from tests.generators.small_test import options

ALIKE = 1e-3
"""How far scores of the same float32 weights may be apart: a GPU adds up in another order."""
HITS = (1, 5)
LIMIT_SECONDS = {"cuda": 90, "cpu": 1500}
"""Of a run of a verb, by device."""
_LEAST_SECONDS = 10.0
"""With less time left a verb is not begun: it would hardly get past its imports."""
_SOURCE_GROUPS = {"cuda": 6, "cpu": 3}
_COLUMNS = ("video_id", "labels", "source_group", "status", "reason", "clip_starts")


def make_data(folder: Path, device: str) -> None:
    """Generate the videos of all runs ahead of them; a run whose videos are still being made waits for them."""
    read_synthetic_index(folder / "small", source_groups=3)
    read_synthetic_index(folder / "embedded", source_groups=_SOURCE_GROUPS[device])


def verb(*words: str, folder: Path, device: str, deadline: float) -> Path:
    """Run a verb of the suite into a run folder of its own; gives the folder.

    Args:
        words: Its own.
        folder: The run folder.
        device: Of `LIMIT_SECONDS`.
        deadline: By the monotonic clock; it ends before that too.

    Raises:
        RuntimeError: With the end of what it printed, if it fails or takes too long, or if no time is left for it.
    """
    limit = min(LIMIT_SECONDS[device], deadline - time.monotonic())
    if limit < _LEAST_SECONDS:
        raise RuntimeError(f"{folder.name} is left out, no time is left for it")
    command = [sys.executable, "-m", "benchmark", *words, "--run_dir", str(folder), "--trainer.devices", "1"]
    try:
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=limit, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{folder.name} took more than {limit:.0f} s") from error
    if done.returncode:
        raise RuntimeError(f"{folder.name} ended with {done.returncode}: {(done.stderr or done.stdout)[-1500:]}")
    return folder


def fit_from_cache(folder: Path, device: str, clips: int, deadline: float) -> dict[str, float]:
    """Clips/s of a fit of single-frame multires on the embedded data, over the epochs in which all frames are cached.

    Args:
        folder: Receives data, cache and run.
        device: `cuda`, or `cpu` for a dry run of a trifle.
        clips: Of a batch.
        deadline: By the monotonic clock.
    """
    is_dry = device == "cpu"
    epochs, visited, workers, width = (2, 3, 1, 0.05) if is_dry else (7, 50, 14, 1.0)
    words = ["fit", "--config", "conf/multires.yaml", "--data.root", str(folder / "embedded")]
    words += ["--model.width", str(width), "--data.batch_size", str(clips), "--data.num_workers", str(workers)]
    words += ["--data.clips_per_video", f"{{train: {visited}, train_epoch: {visited}, validation: 1, test: 1}}"]
    words += ["--data.cache", "disk", "--data.cache_dir", str(folder / "cache")]
    words += ["--trainer.max_epochs", str(epochs), "--trainer.compile", "never" if is_dry else "always"]
    words += ["--trainer.accelerator", "cpu" if is_dry else "gpu", "--trainer.enable_progress_bar", "false"]
    words += ["--data.source_groups", str(_SOURCE_GROUPS[device])]
    run = verb(*words, folder=folder / f"fit_{clips}", device=device, deadline=deadline)
    with (run / "curves.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[1:]  # the first epoch fills the cache
    names = {"clips/s": "clips_per_second", "compute": "compute_clips_per_second", "waiting": "waiting_share"}
    return {name: statistics.median(float(row[f"train/{column}"]) for row in rows) for name, column in names.items()}


def ledgers(folder: Path, device: str, deadline: float) -> tuple[Ledger, Ledger]:
    """A test of the same float32 weights on a device and on the processor."""
    there = "gpu" if device == "cuda" else device

    def words(name: str, accelerator: str, *more: str) -> list[str]:
        given = options(folder / "small", folder / name, *more)
        return [accelerator if word == "cpu" else word for word in given[: given.index("--run_dir")]] + list(more)

    run = functools.partial(verb, device=device, deadline=deadline)
    fit = run("fit", *words("fit", there), folder=folder / "fit_small")
    weights = ["--ckpt_path", str(fit / "checkpoints/last.ckpt")]
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(run, "test", *words(name, kind, *weights), folder=folder / name)
            for name, kind in (("test_there", there), ("test_processor", "cpu"))
        ]
        one, other = (Ledger.read(tested.result()) for tested in runs)
    return one, other


def alike(one: Ledger, other: Ledger) -> dict[str, float]:
    """Shares that are equal: rows with their clips and status, scores, and hits but for ties; prints what is not."""
    rows = [name for name in _COLUMNS if one.table[name] != other.table[name]]
    if rows:
        print(f"the ledgers differ in {', '.join(rows)}")
        return {"rows": 0.0, "scores": 0.0, "hits": 0.0}
    differs = np.abs(one.scores - other.scores)
    print(f"scores of {len(one)} videos differ by up to {np.nanmax(differs):.1e}")
    found, counted = list(_other_hits(one, other)), len(one) * len(HITS)
    for text, _ in found:
        print(text)
    wrong = sum(not is_tie for _, is_tie in found)
    return {"rows": 1.0, "scores": float(np.mean(differs[one.scored] <= ALIKE)), "hits": 1 - wrong / counted}


def _other_hits(one: Ledger, other: Ledger) -> Iterator[tuple[str, bool]]:
    """What is a hit in one ledger only, and whether that is a tie."""
    for name, labels, *scored in zip(one.video_ids, one.labels, one.scores, other.scores, strict=True):
        for k in HITS:
            margins = [_margin(scores, labels, k) for scores in scored]
            if (margins[0] > 0) != (margins[1] > 0):
                is_tie = max(map(abs, margins)) <= 2 * ALIKE
                yield f"Hit@{k} of {name} differs, by {margins[0]:.1e} and {margins[1]:.1e}", is_tie


def _margin(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """By how much the best true label is above the class that would push it out of the first k."""
    others = np.sort(scores[~labels])[::-1]
    return float(scores[labels].max() - others[k - 1]) if len(others) >= k else np.inf
