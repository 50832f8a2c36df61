"""Reading training clips in one process, stage by stage, by the very objects that a fit's loader workers run."""

import copy
import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Iterator

import torch

from benchmark.clip import Failure
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.dataset import Collate, TrainingClips
from benchmark.data.decode import DecodeError, open_video
from benchmark.data.laps import lap, measured_laps
from benchmark.data.pyav_video import read_timeline
from benchmark.data.sampling import ClipPlan
from benchmark.errors import UserError
from benchmark.speed.bare_decoder import decode_alone, frames_per_second
from benchmark.speed.report import Loading, Stage

Key = tuple[int, int, int]

STAGES = ("open", "decode", "convert and resize", "cut", "batch")
"""Opening goes with closing; what a decoder has to convert itself, as full-range colours, is part of decoding."""


def drawn_rounds(data: VideoDataModule, *, clips: int, rounds: int, seed: int) -> list[list[Key]]:
    """Keys (epoch, row, clip) of training clips, others in every round as in the epochs of a fit.

    Args:
        data: Joined to a Trainer and a model.
        clips: Clips a round.
        rounds: Number of rounds.
        seed: Seed of order and choice.
    """
    batches = data.training_batches()
    batches.seed = seed
    keys: list[Key] = []
    for epoch in itertools.count():
        batches.set_epoch(epoch)
        keys += itertools.chain.from_iterable(batches)
        if len(keys) >= clips * rounds:
            return [keys[number * clips : (number + 1) * clips] for number in range(rounds)]
    raise AssertionError("unreachable")


def measure_loading(data: VideoDataModule, *, clips: int, rounds: int, seed: int) -> Loading:
    """Time the stages, the whole, the cache and the limit, for the same clips one after the other.

    Args:
        data: Joined to a Trainer and a model.
        clips: Clips a round.
        rounds: Number of rounds.
        seed: Seed of the choice of clips.

    Raises:
        UserError: If no training video is held, the data module reads no video files, or none can be read.
    """
    if not len(data.index.rows("train")):
        raise UserError(
            f"no video of the train split of {data.index.identity} is held under {data.index.root}; "
            "change data.root, or the fold or class subset"
        )
    loader = data.train_dataloader()
    clips_of_fit, collate = loader.dataset, loader.collate_fn
    if not (
        isinstance(clips_of_fit, TrainingClips) and isinstance(collate, Collate) and clips_of_fit.reader.reads_files
    ):
        raise UserError(
            f"{type(data).__name__} trains on {type(clips_of_fit).__name__}, whose stages are not known here; "
            "speed measures data modules that read video files with the loaders of VideoDataModule"
        )
    drawn = drawn_rounds(data, clips=clips, rounds=rounds, seed=seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a loader worker
    try:
        passes = _Passes(clips_of_fit, collate, data.batch_size)
        timelines = passes.learn_timelines(sorted({row for keys in drawn for _, row, _ in keys}))
        kept = [[key for key in keys if passes.can_read(key)] for keys in drawn]
        if not all(kept):
            raise UserError(
                f"of {clips} training clips of a round none can be read ({passes.failure}); change data.root, or "
                "raise speed.clips"
            )
        return passes.run(kept, timelines, unreadable=clips * rounds - sum(map(len, kept)))
    finally:
        torch.set_num_threads(threads)


class _Passes:
    """The passes over the clips of a round."""

    def __init__(self, dataset: TrainingClips, collate: Collate, batch_size: int) -> None:
        self.cached = dataset if dataset.reader.cache is not None else None
        self.dataset = copy.copy(dataset)  # which may be of a class that varies clips in a way of its own
        self.dataset.reader, self.dataset.visited = dataclasses.replace(dataset.reader, cache=None), None
        self.collate, self.batch_size = collate, batch_size
        self.facts: dict[int, tuple[ClipPlan, float]] = {}  # where clips lie and frames a second, by row
        self.failure = ""

    def learn_timelines(self, rows: list[int]) -> Stage:
        """Time learning where the frames of each file are, which is done when it is first opened."""
        seconds = 0.0
        for row in rows:
            video = self.dataset.index.video(row)
            try:
                with open_video(video.path, self.dataset.reader.decoder) as opened:
                    plan = self.dataset.reader.plan(video, opened.frames, opened.shown_seconds)
                    self.facts[row] = plan, frames_per_second(video.path)
            except DecodeError as error:
                self.failure = f"{video.video_id}: {error}"
                continue
            start = time.perf_counter()
            read_timeline(video.path)
            seconds += time.perf_counter() - start
        return Stage("timeline of a file", (len(self.facts),), (seconds,))

    def can_read(self, key: Key) -> bool:
        """Whether a clip can be read; its file is then in the system's memory."""
        sample = self.dataset[key]
        if isinstance(sample, Failure):
            self.failure = f"{sample.video_id}: {sample.reason}"
            return False
        try:
            self.decoding_alone([key])
        except DecodeError as error:  # it decodes what our reader leaves out
            self.failure = str(error)
            return False
        return True

    def run(self, drawn: list[list[Key]], timelines: Stage, *, unreadable: int) -> Loading:
        stages: dict[str, list[float]] = {name: [] for name in STAGES}
        passes: dict[str, list[float]] = {"whole": [], "decoding alone": [], "cached": []}

        def by_stage(keys: list[Key]) -> None:
            whole, parts = self.by_stage(keys)
            passes["whole"].append(whole)
            for name in STAGES:
                stages[name].append(parts[name])

        def timed(name: str, work: Callable[[list[Key]], None]) -> Callable[[list[Key]], None]:
            def run(keys: list[Key]) -> None:
                start = time.perf_counter()
                work(keys)
                passes[name].append(time.perf_counter() - start)

            return run

        work = [by_stage, timed("decoding alone", self.decoding_alone)]
        for number, keys in enumerate(drawn):
            turn = number % len(work)
            for measure in work[turn:] + work[:turn]:
                measure(keys)
            if self.cached is not None:
                self.read(self.cached, keys)  # fills it
                timed("cached", functools.partial(self.read, self.cached))(keys)
        counts = tuple(len(keys) for keys in drawn)
        return Loading(
            decoder=self.dataset.reader.decoder,
            stages=tuple(Stage(name, counts, tuple(stages[name])) for name in STAGES),
            whole=Stage("all of it", counts, tuple(passes["whole"])),
            decoding_alone=Stage("decoding alone", counts, tuple(passes["decoding alone"])),
            timelines=timelines,
            cached=Stage("from the cache", counts, tuple(passes["cached"])) if self.cached is not None else None,
            unreadable=unreadable,
        )

    def _batches(self, keys: list[Key]) -> Iterator[list[Key]]:
        for first in range(0, len(keys), self.batch_size):
            yield keys[first : first + self.batch_size]

    def read(self, dataset: TrainingClips, keys: list[Key]) -> None:
        """As a loader worker does it."""
        for batch in self._batches(keys):
            self.collate([dataset[key] for key in batch])

    def decoding_alone(self, keys: list[Key]) -> None:
        """The least that any reader must do."""
        for _, row, clip in keys:
            plan, rate = self.facts[row]
            numbers = plan.numbers(plan.start(clip), self.dataset.reader.frame_offsets)
            decode_alone(self.dataset.index.video(row).path, numbers[0], numbers[-1], rate)

    def by_stage(self, keys: list[Key]) -> tuple[float, dict[str, float]]:
        """Seconds of all of it, and of each stage."""
        start = time.perf_counter()
        with measured_laps() as seconds:
            for batch in self._batches(keys):
                samples = [self.dataset[key] for key in batch]
                lap("cut")  # what is left of a sample
                self.collate(samples)
                lap("batch")
        return time.perf_counter() - start, seconds
