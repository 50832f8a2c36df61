"""How the cost of reading videos grows with the work: data modules and loaders as a run has them, and no network.

    python -m tests.performance.growth FOLDER [--out tests/performance]

An index of more rows than FOLDER has videos names the same files again, through links, so that every row is a path and
a video of its own to the program, while the disk's share of the work stays that of few files. An index of up to 20,000
videos is opened file by file before a fit, which is part of `setup` and teaches the timelines of the files; a larger
one leaves that to the loader.

Prints medians and ranges of three passes, each over other clips, the sizes taken in turns within a pass; a ratio to
the first row is the median of the ratios within the passes. Where other programs share the cores, the processor time a
clip tells more than the clips/s. The memory over the epochs is of one run; freed memory stays with a process (see
`benchmark.process`), so that what is private may rise by steps of about a batch. Writes growth.json,
which holds the numbers of every pass, and growth.svg. Needs Linux, whose /proc tells the memory.
"""

import argparse
import contextlib
import csv
import dataclasses
import io
import itertools
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar, cast

import lightning as L
import torch
from torch.utils.data import DataLoader

from benchmark.clip import ClipBatch
from benchmark.data.cache_file import CacheMode
from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.folder import VideoFolder
from benchmark.data.found import SUFFIXES
from benchmark.data.index import Split
from benchmark.data.loader import EpochBatches
from benchmark.errors import UserError
from benchmark.models import EarlyFusion
from benchmark.process import tune_process
from benchmark.runs.code import library_versions
from benchmark.runs.facts import hardware_facts
from tests.performance.growth_series import SETTLED, Series, draw

PASSES, EPOCH_CLIPS, SMALL_SET = 3, 2, 24
WORKERS, BATCHES, TEST_CLIPS, CACHES = (0, 1, 2, 4), (8, 32, 128), (1, 5, 20), ("off", "memory")
MB = 2**20
STARTS = {  # what each start of a fit measures, and the panel that shows it
    "build the index, s": "seconds before training",
    "setup, s": "seconds before training",
    "first batch, s": "seconds before training",
    "index built, resident MB": "memory of an index",
    "at its peak, resident MB": "memory of an index",
    "table of the index, MB": "memory of an index",
    "clips/s, first reading": "training, one loader process",
    "clips/s, the same clips again": "training, one loader process",
    "processor ms a clip, first reading": "training, one loader process",
    "processor ms a clip, the same clips again": "training, one loader process",
}
RATES = ("clips/s", "processor ms a clip")
Result = TypeVar("Result")
Measured = dict[str, dict[int, list[float]]]  # by quantity and by what was varied: the value of each pass


@dataclasses.dataclass(frozen=True)
class Videos:
    """The files, and where annotation files and links to them are made.

    Args:
        root: Becomes the data modules' root.
        folder: Holds the files.
        files: Relative to it.
    """

    root: Path
    folder: Path
    files: tuple[Path, ...]

    def annotations(self, rows: int, split: Split = "train") -> Path:
        """An annotation file of so many rows; each turn through the files has a link to their folder."""
        path = self.root / f"{split}{rows}.csv"
        if path.exists():
            return path
        with path.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines)
            writer.writerow(("path", "label", "split"))
            for row in range(rows):
                turn, number = divmod(row, len(self.files))
                link, file = self.root / f"turn{turn}", self.files[number]
                if number == 0 and not link.is_symlink():
                    link.symlink_to(self.folder, target_is_directory=True)
                writer.writerow((f"{link.name}/{file.as_posix()}", file.parent.name or "videos", split))
        return path

    def data(self, rows: int, split: Split = "train", **options: Any) -> VideoFolder:
        """A data module of so many rows, joined to a Trainer and a model as by a fit or a test."""
        data = VideoFolder(self.root, annotations=self.annotations(rows, split), name="growth", **options)
        data.trainer = L.Trainer(
            accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, default_root_dir=self.root
        )
        # Ten consecutive frames, as most of the strategies read; the network is never run, so a narrow one will do.
        data.trainer.strategy.connect(EarlyFusion(2, width=0.1))
        return data


def alone(work: Callable[..., Result], *arguments: object) -> Result:
    """The result of a process of its own, so that no measurement finds what another one left in memory."""
    # Forked, as loader workers are: a child that was spawned would spawn its loader workers too.
    forking = multiprocessing.get_context("fork")
    receiver, sender = forking.Pipe(duplex=False)
    process = forking.Process(target=_answer, args=(sender, work, arguments))
    process.start()
    sender.close()  # so that a child that fails ends the waiting
    try:
        return cast(Result, receiver.recv())
    finally:
        process.join()


def _answer(sender: Connection, work: Callable[..., object], arguments: Sequence[object]) -> None:
    """Work as a process of the command line does; with one thread, as in a loader worker."""
    tune_process()
    torch.set_num_threads(1)
    sender.send(work(*arguments))


def memory_mb(process: str | int, *names: str) -> list[float]:
    """Memory of a process; what it shares with others counts in parts, so that the parts of all sum up.

    Args:
        process: Its number, or `self`.
        names: Fields of /proc/PID/smaps_rollup, or of /proc/PID/status.
    """
    lines = "".join(
        Path(f"/proc/{process}/{name}").read_text("utf-8") for name in ("status", "smaps_rollup")
    ).splitlines()
    fields = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith(" kB")}
    return [int(fields[name]) / 1024 for name in names]


def processor_seconds() -> float:
    """Processor time of this process and of its loader workers so far."""
    seconds, ticks = time.process_time(), os.sysconf("SC_CLK_TCK")
    for process in multiprocessing.active_children():
        fields = Path(f"/proc/{process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / ticks
    return seconds


def set_up(data: VideoDataModule, stage: str = "fit") -> VideoDataModule:
    """Do what a run does before it loads, and keep what it prints out of the tables."""
    with contextlib.redirect_stdout(io.StringIO()):
        data.setup(stage)
    return data


def count(batch: ClipBatch) -> int:
    """Clips of a batch, all of which must be there."""
    if batch.failures:
        raise UserError(f"{batch.failures[0].video_id} cannot be read ({batch.failures[0].reason}); leave it out")
    return len(batch.rows)


def choose_epoch(loader: DataLoader[Any], epoch: int) -> None:
    """Let a training loader's next iteration be of an epoch."""
    cast(EpochBatches, loader.batch_sampler).set_epoch(epoch)


def large_index(videos: Videos, rows: int, clips: int, number: int) -> dict[str, float]:
    """What one start of a fit on so many videos costs, and how fast its one loader process goes on."""
    batch_size = max(1, min(32, clips // 4))
    offered = ClipsPerVideo(train_epoch=EPOCH_CLIPS)
    data = videos.data(rows, batch_size=batch_size, num_workers=1, clips_per_video=offered, seed=number)
    Path("/proc/self/clear_refs").write_text("5", "utf-8")  # the peak so far is forgotten
    before = memory_mb("self", "VmRSS")[0]
    start = time.perf_counter()
    table_bytes = data.index.table.nbytes
    found = {"build the index, s": time.perf_counter() - start}
    after, peak = memory_mb("self", "VmRSS", "VmHWM")
    found |= {"index built, resident MB": after - before, "at its peak, resident MB": peak - before}
    found["table of the index, MB"] = table_bytes / MB
    start = time.perf_counter()
    set_up(data)
    found["setup, s"] = time.perf_counter() - start
    loader = data.train_dataloader()
    for reading in ("first reading", "the same clips again"):
        start = time.perf_counter()
        batches = itertools.islice(loader, 1 + clips // batch_size)
        count(next(batches))
        begun, spent = time.perf_counter(), processor_seconds()
        found.setdefault("first batch, s", begun - start)
        read = sum(map(count, batches))
        found[f"clips/s, {reading}"] = read / (time.perf_counter() - begun)
        found[f"processor ms a clip, {reading}"] = 1000 * (processor_seconds() - spent) / read
    return found


def race(loaders: dict[int, DataLoader[ClipBatch]], is_training: bool) -> Measured:
    """Whole epochs; the pass before the first counted one starts the workers and warms the files."""
    found: Measured = {name: {value: [] for value in loaders} for name in RATES}
    for number in range(PASSES + 1):
        for value, loader in loaders.items():
            if is_training:
                choose_epoch(loader, number)
            start, spent = time.perf_counter(), processor_seconds()
            clips = sum(map(count, loader))
            if number:
                found["clips/s"][value].append(clips / (time.perf_counter() - start))
                found["processor ms a clip"][value].append(1000 * (processor_seconds() - spent) / clips)
    return found


def training_rates(videos: Videos, clips: int, settings: dict[int, dict[str, Any]]) -> Measured:
    """Training loaders that differ in some options; an epoch has so many clips."""
    offered = ClipsPerVideo(train_epoch=EPOCH_CLIPS)
    data = {
        value: set_up(videos.data(clips // EPOCH_CLIPS, clips_per_video=offered, **options))
        for value, options in settings.items()
    }
    return race({value: held.train_dataloader() for value, held in data.items()}, is_training=True)


def test_rates(videos: Videos, clips: int) -> Measured:
    """Test loaders with one worker, by clips a video; the files and the batch size are the same."""
    data = {
        number: set_up(
            videos.data(max(1, clips // 4), "test", num_workers=1, clips_per_video=ClipsPerVideo(test=number)), "test"
        )
        for number in TEST_CLIPS
    }
    return race({number: held.test_dataloader() for number, held in data.items()}, is_training=False)


def memory_of_epochs(videos: Videos, cache: CacheMode, rows: int, epochs: int) -> dict[str, list[float]]:
    """Memory after each epoch with two workers, by whose it is."""
    # A cache grows until every clip was visited once; so few clips a video that this is over when growth is counted.
    offered = ClipsPerVideo(train=EPOCH_CLIPS * SETTLED, train_epoch=EPOCH_CLIPS)
    data = videos.data(rows, batch_size=8, num_workers=2, clips_per_video=offered, cache=cache, cache_gb=1.0)
    set_up(data)
    loader = data.train_dataloader()
    held: dict[str, list[float]] = {"main, private": [], "workers, private": [], "all, shared": []}
    for epoch in range(epochs):
        choose_epoch(loader, epoch)
        for batch in loader:
            count(batch)
        main = memory_mb("self", "Pss_Anon", "Pss_Shmem")
        processes = [process.pid for process in multiprocessing.active_children() if process.pid is not None]
        workers = [memory_mb(process, "Pss_Anon", "Pss_Shmem") for process in processes]
        held["main, private"].append(main[0])
        held["workers, private"].append(sum(private for private, _ in workers))
        held["all, shared"].append(main[1] + sum(shared for _, shared in workers))
    with contextlib.redirect_stdout(io.StringIO()):
        data.teardown("fit")  # removes a cache in memory
    return held


def measure(videos: Videos, rows: Sequence[int], clips: int, epochs: int) -> Iterator[Series]:
    """All series, one panel after the other."""
    starts: dict[int, list[dict[str, float]]] = {count_of_rows: [] for count_of_rows in rows}
    for number in range(PASSES):
        for count_of_rows in rows:
            videos.annotations(count_of_rows)  # so that the other process need not, whose memory counts
            starts[count_of_rows].append(alone(large_index, videos, count_of_rows, clips, number))
    for name, panel in STARTS.items():
        passes = {value: [found[name] for found in all_found] for value, all_found in starts.items()}
        yield Series(panel, name, "videos", passes)
    workers: dict[int, dict[str, Any]] = {number: {"num_workers": number, "batch_size": 16} for number in WORKERS}
    batches: dict[int, dict[str, Any]] = {size: {"num_workers": 1, "batch_size": size} for size in BATCHES}
    races: list[tuple[str, str, Callable[..., Measured], tuple[object, ...]]] = [
        ("training, against loader workers", "workers", training_rates, (workers,)),
        ("training, against the batch size", "clips a batch", training_rates, (batches,)),
        ("a test, one loader process", "clips a video", test_rates, ()),
    ]
    for panel, varied, work, more in races:
        for name, passes in alone(work, videos, clips, *more).items():
            yield Series(panel, name, varied, passes)
    for cache in CACHES:
        held = alone(memory_of_epochs, videos, cache, min(SMALL_SET, clips), epochs)
        for whose, values in held.items():
            by_epoch = {epoch: [value] for epoch, value in enumerate(values, start=1)}
            yield Series(f"memory over the epochs, cache {cache}", f"{whose} MB", "epochs", by_epoch)


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--rows", type=int, nargs="+", default=[10**3, 10**4, 10**5, 10**6], help="Videos of an index.")
    parser.add_argument("--clips", type=int, default=320, help="Clips of a pass.")
    parser.add_argument("--epochs", type=int, default=50, help="Over which memory is watched.")
    options = parser.parse_args()
    folder = options.folder.resolve()
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files or not sys.platform.startswith("linux"):
        parser.error(f"no video is under {folder}" if not files else "memory is read from /proc, which needs Linux")
    if min(options.rows) < options.clips or options.clips < EPOCH_CLIPS or options.epochs < 1:
        parser.error("--rows must be --clips or more, --clips 2 or more, --epochs 1 or more")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", ".*will create .* worker processes in total.*")  # more than cores, on purpose
    load, found, panel = os.getloadavg()[0], [], ""
    print(f"{len(files)} files, {options.clips} clips a pass, load average {load:.1f}")
    with tempfile.TemporaryDirectory() as root:
        for series in measure(Videos(Path(root), folder, tuple(files)), options.rows, options.clips, options.epochs):
            if series.panel != panel:
                panel = series.panel
                print(f"\n{panel}", flush=True)
            print(series.text(), flush=True)
            found.append(series)
    facts = {
        "processor": hardware_facts(1, torch.device("cpu")).processor,
        "cores": hardware_facts(1, torch.device("cpu")).cores,
        "versions": library_versions(),
        "load_average_before_and_after": [load, os.getloadavg()[0]],
        "files": len(files),
        "clips": options.clips,
    }
    draw(found, options.out / "growth.svg")
    text = json.dumps({**facts, "series": [dataclasses.asdict(series) for series in found]}, indent=1)
    (options.out / "growth.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
