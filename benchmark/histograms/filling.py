"""Works out what is missing of many videos, in parallel, and says what it costs.

Letters: F numbers that describe a video.
"""

import dataclasses
import functools
import hashlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from benchmark.clip import Failure
from benchmark.data.container import DecodeError, video_seconds
from benchmark.data.index import Video
from benchmark.data.workers import begin_worker
from benchmark.files import whole
from benchmark.histograms.features import DIMENSIONS, FEATURES
from benchmark.histograms.store import Descriptions, content_name, digest
from benchmark.histograms.words import Words, histograms, learn_words, sample
from benchmark.wording import counted

Made = TypeVar("Made")

_SHOWN_SECONDS = 60.0  # between two lines that say how far it is
_WAITING = 4  # videos that wait for each process


@dataclasses.dataclass(frozen=True)
class Histograms:
    """Histograms of videos in a folder, each worked out when it is first asked for.

    Args:
        descriptions: What they are made of.
        words: By feature.
    """

    descriptions: Descriptions
    words: dict[str, Words]

    @functools.cached_property
    def folder(self) -> Path:
        """Of the videos counted by these words."""
        named = hashlib.sha256(self.descriptions.folder.name.encode())
        for name, words in sorted(self.words.items()):
            named.update(f"{name} {words.spread!r}".encode() + words.centres.numpy().tobytes())
        return self.descriptions.root / f"histograms-{named.hexdigest()[:16]}"

    def get(self, video: Video) -> np.ndarray:
        """(25000,) float32 of a video; not to be written to.

        Raises:
            DecodeError: If it cannot be decoded.
        """
        path = self.folder / f"{content_name(video)}.f32"
        try:
            held = np.fromfile(path, "<f4")
            if held.shape == (DIMENSIONS,):
                return held
        except FileNotFoundError:
            pass
        described = self.descriptions.get(video)
        made = histograms({name: (local.places, local.values) for name, local in described.local.items()}, self.words)
        with whole(path, shared=True) as unfinished:
            made.astype("<f4").tofile(unfinished)
        return made


def describe_all(descriptions: Descriptions, videos: Sequence[Video], processes: int) -> dict[int, Failure]:
    """Measure all features in the videos of which they are not known yet, and print what that costs.

    Args:
        descriptions: Where they are kept.
        videos: Of one dataset.
        processes: That work side by side; 0 or 1 is this one alone.

    Returns:
        Videos that could not be decoded, by row.
    """
    todo = [video for video in videos if not descriptions.holds(video)]
    if todo:
        print(
            f"features of {counted(len(videos), 'video')} in {descriptions.folder}: {len(todo):,} to make", flush=True
        )
    failed, seconds, shown, cost = {}, 0.0, time.monotonic(), 0.0
    for done, (video, outcome) in enumerate(_each(functools.partial(_describe, descriptions), todo, processes), 1):
        if isinstance(outcome, str):
            failed[video.row] = Failure(video.row, video.video_id, outcome)
        else:
            cost, seconds = cost + outcome[0], seconds + outcome[1]
        if time.monotonic() - shown > _SHOWN_SECONDS:
            shown = time.monotonic()
            print(f"  {done:,} of {counted(len(todo), 'video')}, {_cost(cost, seconds)}", flush=True)
    if todo:
        named = "".join(f"\n  failed: {failure.video_id} ({failure.reason})" for failure in [*failed.values()][:5])
        print(f"made {len(todo) - len(failed):,}, {len(failed):,} failed; {_cost(cost, seconds)}{named}", flush=True)
    return failed


def count_all(made: Histograms, videos: Sequence[Video], processes: int) -> None:
    """Count the words of videos in parallel; those that cannot be decoded are left for whoever asks for them."""
    for _ in _each(functools.partial(_count, made), videos, processes):
        pass


def _cost(made_seconds: float, video_seconds: float) -> str:
    if not video_seconds:
        return "no video of known length"
    return f"{1000 * made_seconds / video_seconds:.0f} ms of one process a video second"


def _describe(descriptions: Descriptions, video: Video) -> tuple[float, float] | str:
    """Seconds that it took and seconds that the video lasts, or why it could not be decoded."""
    try:
        return descriptions.get(video).made_seconds, video_seconds(video.path)
    except DecodeError as error:
        return str(error)


def _count(made: Histograms, video: Video) -> None:
    try:
        made.get(video)
    except DecodeError:
        return


def _each(work: Callable[[Video], Made], videos: Iterable[Video], processes: int) -> Iterator[tuple[Video, Made]]:
    """Pairs (video, outcome) as they come, a bounded number of them under way."""
    if processes < 2:
        yield from ((video, work(video)) for video in videos)
        return
    coming = iter(videos)
    with ProcessPoolExecutor(processes, initializer=_begin) as pool:
        waiting = {pool.submit(work, video): video for video in itertools.islice(coming, _WAITING * processes)}
        while waiting:
            done: set[Future[Made]] = wait(waiting, return_when=FIRST_COMPLETED).done
            for future in done:
                yield waiting.pop(future), future.result()
            waiting |= {pool.submit(work, video): video for video in itertools.islice(coming, len(done))}


def _begin() -> None:
    """One thread for each process; it ends when its main process does."""
    torch.set_num_threads(1)
    begin_worker(0)


def learned_words(descriptions: Descriptions, videos: Sequence[Video], seed: int) -> dict[str, Words]:
    """Words of all features that have them, learned once for the same videos and kept beside the descriptions.

    Args:
        descriptions: Of the videos.
        videos: Training videos alone; those that cannot be decoded are left out.
        seed: Of the sample and of k-means.
    """
    readable = [video for video in videos if descriptions.holds(video)]
    facts = {
        "descriptions": descriptions.folder.name,
        "seed": seed,
        "videos": [content_name(video) for video in readable],
        "features": [dataclasses.asdict(feature) for feature in FEATURES],
    }
    path = descriptions.root / f"words-{digest(facts)}.npz"
    names = [feature.name for feature in FEATURES if feature.kind == "words"]
    if path.is_file():
        with np.load(path) as held:
            return {n: Words(torch.from_numpy(held[n]), float(held[f"{n}_spread"])) for n in names}
    begun = time.perf_counter()
    print(f"learning words from {len(readable):,} training videos", flush=True)
    words = {}
    for feature in FEATURES:
        if feature.kind == "words":
            parts = (descriptions.get(video).local[feature.name].values for video in readable)
            words[feature.name] = learn_words(feature, sample(parts, len(readable), seed), seed)
    with whole(path, shared=True) as unfinished, unfinished.open("wb") as file:
        arrays: dict[str, Any] = {name: word.centres.numpy() for name, word in words.items()}
        arrays |= {f"{name}_spread": np.array(word.spread) for name, word in words.items()}
        np.savez(file, **arrays)
    total = sum(len(word.centres) for word in words.values())
    print(f"{total:,} words in {path}, ready after {time.perf_counter() - begun:.0f} s", flush=True)
    return words
