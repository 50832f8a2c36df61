"""A fit from a store that is killed at random moments, and goes on each time with another number of loader workers.

    python -m tests.scale.streaming_kills --kills 50

Each fit is a process of its own, and is killed by SIGKILL. After each optimizer step a callback notes which clips were
trained on; a step that is repeated after a kill takes the place of what was noted before. In the end the clips of all
steps, and every bit of the weights, must be those of an undisturbed fit, and each epoch must have each clip once.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch

from benchmark.__main__ import main as run_command
from benchmark.clip import ClipBatch
from benchmark.scale.store import Store
from tests.generators.object_store import object_store
from tests.generators.sports1m_set import ids, write_lists, write_videos
from tests.scale.jobs import CLIPS, prepare

WORKERS = (1, 3, 2)
BATCH, TESTS = 4, 4

_LOOK_S = 0.01
_FIT_S = 300.0  # no fit takes so long


class Journal(L.Callback):
    """Notes the clips of each optimizer step.

    Args:
        path: File of one line a step.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: ClipBatch, batch_idx: int
    ) -> None:
        keys = [*zip(batch.rows.tolist(), batch.clips.tolist(), strict=True)]
        line = json.dumps({"step": trainer.global_step, "epoch": trainer.current_epoch, "keys": keys})
        with Path(self.path).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")  # after what a kill left of an earlier line


class Step(NamedTuple):
    """What an optimizer step trained on."""

    epoch: int
    keys: tuple[tuple[int, int], ...]


class Fit:
    """A fit in a folder, which may be killed.

    Args:
        folder: Of the run.
        store: The clips.
        epochs: How many.
    """

    def __init__(self, folder: Path, store: str, epochs: int) -> None:
        self.folder, self.store, self.epochs = folder, store, epochs
        self.journal, self.log = folder.with_suffix(".journal"), folder.with_suffix(".log")
        self.last = folder / "checkpoints" / "last.ckpt"
        folder.parent.mkdir(parents=True, exist_ok=True)

    def words(self, workers: int) -> list[str]:
        callback = {"class_path": "tests.scale.streaming_kills.Journal", "init_args": {"path": str(self.journal)}}
        clips = {"train": CLIPS.train, "train_epoch": CLIPS.train, "validation": 1, "test": CLIPS.test}
        given = {
            "config": "single_frame", "model.width": "0.1", "data": "sports1m_shards", "data.store": self.store,
            "data.num_workers": workers, "data.batch_size": BATCH, "data.clips_per_video": json.dumps(clips),
            "trainer.max_epochs": self.epochs, "trainer.logger": "false", "trainer.enable_progress_bar": "false",
            "trainer.callbacks+": json.dumps(callback), "checkpoint.minutes": 0.003, "run_dir": self.folder,
        }  # fmt: skip
        words = ["fit", *(str(word) for name, value in given.items() for word in (f"--{name}", value))]
        if self.last.exists():
            return [*words, "--ckpt_path", "last"]
        shutil.rmtree(self.folder, ignore_errors=True)
        return words

    def start(self, workers: int) -> int:
        """A process that fits; forked from this one, which has imported all that takes long and used nothing of it."""
        words = self.words(workers)
        process = os.fork()
        if process:
            return process
        code = 1
        try:
            log = os.open(self.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.argv = ["clipbench", *words]
            run_command()
            code = 0
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        finally:
            os._exit(code)

    def run(self, workers: int, kill_after_s: float | None = None) -> bool:
        """Fit until the end, or a while after the first step that this process noted; whether it was killed."""
        noted = self.size()
        process, end, due = self.start(workers), time.monotonic() + _FIT_S, float("inf")
        while True:
            found, status = os.waitpid(process, os.WNOHANG)
            if found:
                if status:
                    raise RuntimeError(f"the fit ended with status {status}, see {self.log}")
                return False
            if kill_after_s is not None and due == float("inf") and self.size() > noted:
                due = time.monotonic() + kill_after_s
            if time.monotonic() > min(due, end):
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                if due == float("inf"):
                    raise RuntimeError(f"the fit takes longer than {_FIT_S:.0f} s, see {self.log}")
                return True
            time.sleep(_LOOK_S)

    def size(self) -> int:
        """Bytes of the journal."""
        return self.journal.stat().st_size if self.journal.exists() else 0

    def steps(self) -> dict[int, Step]:
        """What each step trained on, as it was done last."""
        found = {}
        for line in self.journal.read_text("utf-8").splitlines():
            try:
                noted = json.loads(line)
            except ValueError:  # empty, or cut short by a kill
                continue
            found[noted["step"]] = Step(noted["epoch"], tuple((row, clip) for row, clip in noted["keys"]))
        return found

    def repeated(self) -> int:
        """Steps that were done more than once, since a kill lost them."""
        return self.journal.read_text("utf-8").count('"step"') - len(self.steps())

    def weights(self) -> dict[str, torch.Tensor]:
        """Of the end."""
        held: dict[str, torch.Tensor] = torch.load(self.last, weights_only=True)["state_dict"]
        return held


def compare(one: Fit, other: Fit, clips: int) -> None:
    """Raise unless two fits trained on the same clips, each once an epoch, and ended with the same weights."""
    first, second = one.steps(), other.steps()
    if first != second:
        differ = [step for step in first.keys() | second.keys() if first.get(step) != second.get(step)]
        raise AssertionError(f"{len(differ)} steps were trained on other clips, the first is {min(differ)}")
    for epoch in range(one.epochs):
        times = Counter(key for step in second.values() if step.epoch == epoch for key in step.keys)
        if len(times) != clips or set(times.values()) != {1}:
            raise AssertionError(f"epoch {epoch} has {len(times)} of {clips} clips, up to {max(times.values())} times")
    weights, others = one.weights(), other.weights()
    if weights.keys() != others.keys() or not all(torch.equal(value, others[name]) for name, value in weights.items()):
        raise AssertionError("the weights differ")


def go(out: Path, kills: int, videos: int, epochs: int, longest_s: float, store: str) -> None:
    """Fit undisturbed and killed, and compare."""
    clips = (videos - TESTS) * CLIPS.train
    undisturbed, killed = Fit(out / "undisturbed", store, epochs), Fit(out / "killed", store, epochs)
    undisturbed.run(2)
    draw, done = random.Random(3), 0
    at = list[int]()
    for workers in itertools.cycle(WORKERS):
        delay_s = draw.uniform(0, longest_s) if done < kills else None
        if not killed.run(workers, delay_s):
            break
        done += 1
        at.append(max(killed.steps()))
    compare(undisturbed, killed, clips - validation_clips(undisturbed, clips))
    steps = len(killed.steps())
    print(f"{done} kills, {len({*at})} different steps, of {steps} in {epochs} epochs; workers {WORKERS} in turns")
    print(f"killed after step {at}")
    print(
        f"{killed.repeated()} steps were repeated; clips of each step, each clip once an epoch, all weights: the same"
    )


def validation_clips(fit: Fit, clips: int) -> int:
    """Training clips less those that were trained on in the first epoch: of the videos that are held out."""
    held_out = clips - len({key for step in fit.steps().values() if step.epoch == 0 for key in step.keys})
    if held_out % CLIPS.train:
        raise AssertionError("a video was trained on in part")
    return held_out


def make_store(out: Path, videos: int, store: str) -> None:
    """A store of small videos."""
    names = ids(videos)
    write_lists(out / "lists", names, tests=TESTS)
    write_videos(out / "videos", names)
    prepare(out / "lists", out / "videos", Store(store), out / "work", per_shard=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--longest_s", type=float, default=1.0, help="of training before a kill")
    parser.add_argument("--s3", action="store_true", help="stream from a local S3 server with 20 ms of delay")
    parser.add_argument("--out", type=Path, help="folder to keep; otherwise one that is removed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = given.out or Path(folder)
        make_store(out, given.videos, str(out / "remote" / "bucket"))
        with object_store(out / "remote", 0.02) as server:
            os.environ.update(server.settings())
            store = "s3://bucket" if given.s3 else str(out / "remote" / "bucket")
            go(out, given.kills, given.videos, given.epochs, given.longest_s, store)


if __name__ == "__main__":
    main()
