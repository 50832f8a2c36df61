"""The whole table of speed in one run: other readers, the cache, training steps, multires over full, a fit end to end.

    python -m tests.performance.targets FOLDER [--clips 200] [--rounds 5] [--steps 6] [--out FILE.json] -- OPTIONS

FOLDER holds videos as they come, such as original UCF-101 files; OPTIONS are those of the fit to measure end to end,
such as `--data conf/data/ucf101.yaml --data.root DIR`. Each line says what was asked for, what was measured and whether
that is enough. Nothing else may run on the machine meanwhile; only ratios of one run mean anything.
"""

import argparse
import dataclasses
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.commands.text import aligned
from benchmark.data.decode import open_video
from benchmark.process import tune_process
from benchmark.speed.multires import Work, bytes_per_parameter, roofline_seconds
from benchmark.speed.peers import (
    CLIP_FRAMES,
    OURS,
    TEST_PEERS,
    TRAINING_PEERS,
    choose_peers,
    frames_per_second,
    grey_level_differences,
    library_of,
    race,
)
from benchmark.trainer import fastest_precision
from tests.performance import cached_clips, training_steps
from tests.performance.training_steps import BATCH, NETWORKS, Rates

TEST_CLIPS = 20


@dataclasses.dataclass(frozen=True)
class Line:
    """One thing that was asked for.

    Args:
        what: For people.
        asked: Least value.
        found: Measured value.
    """

    what: str
    asked: float
    found: float

    def cells(self) -> list[str]:
        """A row of the table."""
        return [self.what, f"{self.asked:g}", f"{self.found:.2f}", "met" if self.found >= self.asked else "MISSED"]


def loading(folder: Path, clips: int, rounds: int) -> list[Line]:
    """One random clip a file, and 20 clips of one video; other clips in each round."""
    videos = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".avi", ".mp4"}):
        with open_video(path) as video:  # learns the timeline, so that no round pays for it
            if video.frames > CLIP_FRAMES:
                videos.append((path, video.frames, frames_per_second(path)))
    names, missing = choose_peers("all")
    for name, why in missing.items():
        print(f"{name} {why}")
    training, testing = [], []
    for number in range(rounds):
        rng = random.Random(number)
        picked = [rng.choice(videos) for _ in range(clips)]
        training.append([(path, rng.randrange(frames - CLIP_FRAMES), rate) for path, frames, rate in picked])
        picked = [rng.choice(videos) for _ in range(max(1, clips // TEST_CLIPS))]
        starts = [[rng.randrange(frames - CLIP_FRAMES) for _ in range(TEST_CLIPS)] for _, frames, _ in picked]
        testing.append([(path, rate, sorted(begins)) for (path, _, rate), begins in zip(picked, starts, strict=True)])
    one = race({name: TRAINING_PEERS[name] for name in names}, training)
    bulk = race({k: way for k, way in TEST_PEERS.items() if library_of(k) in names}, testing, clips=TEST_CLIPS)
    for title, raced in (("one random clip a file", one), ("20 clips of one video", bulk)):
        ours = raced[OURS].clips_per_second
        rows = [
            [
                name,
                f"{stage.rate:.0f}",
                f"{min(stage.clips_per_second):.0f} to {max(stage.clips_per_second):.0f}",
                f"{_ratio(ours, stage.clips_per_second):.2f}x",
            ]
            for name, stage in raced.items()
        ]
        print(f"\n{aligned([title, 'clips/s', 'range', 'ours is'], rows)}")
    apart = grey_level_differences(names, training[0][:20])
    print("grey levels apart: " + ", ".join(f"{name} {value:.2f}" for name, value in apart.items()))
    asked = [
        ("one clip, over torchcodec", one, "torchcodec", 1.3),
        ("one clip, over pytorchvideo", one, "pytorchvideo", 3.5),
        ("one clip, share of decoding alone", one, "decoding alone", 0.75),
        ("20 clips, over torchcodec, one open a clip", bulk, "torchcodec, one open a clip", 4.0),
        ("20 clips, over torchcodec in bulk", bulk, "torchcodec, in bulk", 1.5),
    ]
    return [
        Line(what, least, _ratio(raced[OURS].clips_per_second, raced[name].clips_per_second))
        for what, raced, name, least in asked
        if name in raced
    ]


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median over the rounds."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def cache(folder: Path, clips: int) -> list[Line]:
    """Ten-frame clips from the frame cache."""
    print("\nframe cache, one process")
    rates = cached_clips.measure(folder, clips)
    cached_clips.show(rates)
    return [Line("clips/s from the frame cache", 2000, statistics.median(rates["from the cache"]))]


def steps(raced: dict[str, tuple[Rates, Rates]], peak: float, bandwidth: float) -> list[Line]:
    """Training steps over plain ones, their share of the peak, and multires over full."""
    print(f"\npeak {peak:.0f} GFLOP/s at {fastest_precision()}, copies {bandwidth / 1e9:.1f} GB/s read plus written")
    print(training_steps.step_table(raced, peak))
    print(f"\n{training_steps.multires_table(raced, peak, bandwidth)}")
    lines = [
        Line(f"training step of {name}, over plain float32", 2.0, ours.median("training") / plain.median("training"))
        for name, (plain, ours) in raced.items()
    ]
    for name in ("single", "slow"):
        plain, ours = raced[name]
        share = ours.median("training") * plain.training_gflop_per_clip / peak
        lines.append(Line(f"training step of {name}, share of the peak", 0.6, share))
    works: tuple[Work, ...] = ("testing", "training")
    for name in ("single", "slow"):
        (plain, ours), (plain_multires, ours_multires) = raced[name], raced[f"{name}_multires"]
        for work in works:
            measured = ours_multires.median(work) / ours.median(work)
            predicted = plain.gflop(work) / plain_multires.gflop(work)
            if work == "training":
                moved = bytes_per_parameter(work, fastest_precision())
                full, multires = (
                    roofline_seconds(one.gflop(work) * BATCH, one.parameters * moved, peak, bandwidth)
                    for one in (plain, plain_multires)
                )
                predicted = full / multires
            what = f"multires over full, {name}, {work}, share of what is predicted"
            lines.append(Line(what, 0.95 if work == "testing" else 0.9, measured / predicted))
    return lines


def end_to_end(compute_alone: float, options: Sequence[str]) -> list[Line]:
    """A fit of the full-width multires network against the rate of its steps alone, from files and from the cache."""
    with tempfile.TemporaryDirectory() as scratch:
        reports = {
            mode: _speed([*options, "--data.cache", mode, "--data.cache_dir", scratch], Path(scratch) / f"run-{mode}")
            for mode in ("off", "disk")
        }
    rates = {
        mode: _rate(report["training"], ("waiting", "forward", "backward", "optimizer"))
        for mode, report in reports.items()
    }
    reading = 1 / _rate(reports["off"]["loading"], ("whole",))
    lost = 1 / rates["off"] - 1 / compute_alone
    print(
        f"\nfit end to end: {compute_alone:.1f} clips/s of steps alone, {rates['disk']:.1f} from the cache, "
        f"{rates['off']:.1f} from files; reading a clip takes {1e3 * reading:.2f} ms of one core, and "
        f"{1e3 * lost:.2f} ms a clip are lost"
    )
    return [
        Line("fit from the cache, share of steps alone", 0.95, rates["disk"] / compute_alone),
        Line("fit from files, reading over what is lost", 1.0, reading / lost if lost > 0 else float("inf")),
    ]


def _speed(options: Sequence[str], run: Path) -> dict[str, Any]:
    """What `speed` writes of a fit in which every epoch visits the same two clips of each video."""
    words = [sys.executable, "-m", "benchmark", "speed", "--config", "conf/multires.yaml", *options]
    words += ["--model.width", "1.0", "--data.clips_per_video.train", "2", "--data.clips_per_video.train_epoch", "2"]
    words += ["--data.batch_size", str(BATCH), "--data.seed", "0", "--speed.seed", "0"]  # the clips that fill the cache
    words += ["--speed.clips", "400", "--speed.rounds", "3", "--speed.steps", "21", "--run_dir", str(run)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    report: dict[str, Any] = json.loads((run / "speed.json").read_text())
    return report


def _rate(part: dict[str, Any], stages: Sequence[str]) -> float:
    """Median clips/s of some stages one after the other."""
    seconds = [sum(values) for values in zip(*(part[stage]["seconds"] for stage in stages), strict=True)]
    return float(statistics.median(n / took for n, took in zip(part[stages[0]]["clips"], seconds, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--out", type=Path, help="Where the lines are written as JSON.")
    words = sys.argv[1:]
    own, options = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    chosen = parser.parse_args(own)
    tune_process()
    lines = loading(chosen.folder, chosen.clips, chosen.rounds) + cache(chosen.folder, chosen.clips)
    peak, bandwidth = training_steps.limits()
    raced = training_steps.race(NETWORKS, chosen.steps)
    lines += steps(raced, peak, bandwidth)
    if options:
        lines += end_to_end(raced["single_multires"][1].median("training"), options)
    print("\n" + aligned(["what", "asked", "found", ""], [line.cells() for line in lines]))
    if chosen.out:
        chosen.out.write_text(json.dumps([dataclasses.asdict(line) for line in lines], indent=1))


if __name__ == "__main__":
    main()
