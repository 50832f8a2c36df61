"""Our reader in a race with other libraries, on clips of the configured videos."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.data.datamodule import VideoDataModule
from benchmark.data.decode import DecodeError, open_video
from benchmark.data.index import Split
from benchmark.data.sampling import clip_start
from benchmark.errors import UserError
from benchmark.speed.bare_decoder import frames_per_second
from benchmark.speed.peers import (
    CLIP_FRAMES,
    DECODING_ALONE,
    OPENED_BEFORE,
    TEST_PEERS,
    TRAINING_PEERS,
    grey_level_differences,
    library_of,
    race,
)
from benchmark.speed.report import PeerComparison

TEST_CLIPS = 20
_LOOKED_AT = 8  # clips whose frames are compared with ours


class _Videos:
    """Videos of one split that hold a clip, in a random order.

    Args:
        data: The videos.
        split: Which of them; those of training where it has none.
        seed: Of the order.
    """

    def __init__(self, data: VideoDataModule, split: Split, seed: int) -> None:
        rows = data.index.rows(split)
        rows = rows if len(rows) else data.index.rows("train")
        self.index, self.seed = data.index, seed
        self.rows = np.random.default_rng([seed, len(rows)]).permutation(rows)
        self.facts: dict[int, tuple[int, float]] = {}
        self.next = 0

    def take(self, draw: Callable[[Path, int], list[int]]) -> tuple[Path, float, list[int]]:
        """The next video that our reader reads: path, frames a second, and first frames of its clips.

        Args:
            draw: First frames of clips, by path and number of frames.

        Raises:
            UserError: If none can be read.
        """
        for _ in self.rows:
            row = int(self.rows[self.next % len(self.rows)])
            self.next += 1
            path = self.index.video(row).path
            if row not in self.facts:
                try:
                    # It learns the timeline: only what races as a first opening pays for that.
                    with open_video(path) as video:
                        self.facts[row] = video.frames, frames_per_second(path)
                except DecodeError:
                    self.facts[row] = 0, 0.0
            frames, rate = self.facts[row]
            if frames < CLIP_FRAMES:
                continue
            starts = draw(path, frames)
            try:
                TEST_PEERS[OPENED_BEFORE](path, rate, starts)
                TEST_PEERS[DECODING_ALONE](path, rate, starts)
            except DecodeError:  # a damaged video says nothing about anyone's speed
                continue
            return path, rate, starts
        raise UserError(
            f"no video of {self.index.identity} can be read and holds {CLIP_FRAMES} frames; change data.root"
        )


def compare(
    data: VideoDataModule, names: list[str], missing: dict[str, str], *, clips: int, rounds: int, seed: int
) -> PeerComparison:
    """Race for training clips and for the clips of tests; other clips in each round.

    Args:
        data: The videos.
        names: Libraries, as `choose_peers` gives them.
        missing: Libraries that are not there, and why.
        clips: Clips a round; in testing as many whole videos as make about that many.
        rounds: Number of rounds.
        seed: Of the choice of videos and clips.
    """
    training_videos, test_videos = _Videos(data, "train", seed), _Videos(data, "test", seed)
    rng = np.random.default_rng([seed, 7])
    training: list[list[tuple[Path, int, float]]] = []
    testing: list[list[tuple[Path, float, list[int]]]] = []
    for _ in range(rounds):
        calls = []
        for _ in range(clips):
            path, rate, starts = training_videos.take(lambda _, frames: [int(rng.integers(frames - CLIP_FRAMES + 1))])
            calls.append((path, starts[0], rate))
        training.append(calls)
        tests = []
        for _ in range(max(1, clips // TEST_CLIPS)):
            tests.append(
                test_videos.take(
                    lambda path, frames: [
                        clip_start(seed, path.stem, clip, frames, CLIP_FRAMES) for clip in range(TEST_CLIPS)
                    ]
                )
            )
        testing.append(tests)
    grey_levels: dict[str, float] = {}
    for name in list(names):  # what cannot read the first clips cannot race, but is no reason to lose everything else
        try:
            grey_levels |= grey_level_differences([name], training[0][:_LOOKED_AT])
        except UserError as error:
            names, missing = [other for other in names if other != name], {**missing, name: f"({error})"}
    missing = dict(missing)
    raced = race({n: way for n, way in TRAINING_PEERS.items() if library_of(n) in names}, training, failed=missing)
    ways = {name: way for name, way in TEST_PEERS.items() if library_of(name) in names}
    return PeerComparison(
        training=tuple(raced.values()),
        testing=tuple(race(ways, testing, clips=TEST_CLIPS, failed=missing).values()),
        grey_levels=grey_levels,
        missing=missing,
    )
