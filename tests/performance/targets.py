"""The whole table of speed in one run: other readers, the cache, training steps, multires over full, a fit end to end.

    python -m tests.performance.targets FOLDER [--clips 200] [--rounds 5] [--steps 6] [--out FILE.json] -- OPTIONS

FOLDER holds videos in one folder a class, such as original UCF-101 files; OPTIONS are those of the fit to measure end
to end, such as `--data conf/data/ucf101.yaml --data.root DIR`. Each line says what was asked for, what was measured and
whether that is enough. Nothing else may run on the machine meanwhile; only ratios of one run mean anything.
"""

import argparse
import dataclasses
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.commands.speed_tables import comparison_tables
from benchmark.commands.text import aligned
from benchmark.data import VideoFolder
from benchmark.process import tune_process
from benchmark.runs.trainer import fastest_precision
from benchmark.speed.comparison import compare
from benchmark.speed.peers import OPENED_BEFORE, choose_peers
from tests.performance import cached_clips, training_steps
from tests.performance.command_line import split_options
from tests.performance.training_steps import BATCH, NETWORKS, Rates


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
        verdict = "not measured" if math.isnan(self.found) else "met" if self.found >= self.asked else "MISSED"
        return [self.what, f"{self.asked:g}", f"{self.found:.2f}", verdict]


def loading(folder: Path, clips: int, rounds: int) -> list[Line]:
    """One random clip a file, and 20 clips of one video, each file opened before; other clips in each round."""
    found = compare(VideoFolder(folder), *choose_peers("all"), clips=clips, rounds=rounds, seed=0)
    print(comparison_tables(found))
    one, bulk = ({stage.name: stage.clips_per_second for stage in raced} for raced in (found.training, found.testing))
    asked = [
        ("one clip, over torchcodec", one, "torchcodec", 1.3),
        ("one clip, over pytorchvideo", one, "pytorchvideo", 3.5),
        ("one clip, share of decoding alone", one, "decoding alone", 0.75),
        ("20 clips, over torchcodec, one open a clip", bulk, "torchcodec, one open a clip", 4.0),
        ("20 clips, over torchcodec in bulk", bulk, "torchcodec, in bulk", 1.5),
    ]
    return [
        Line(what, least, statistics.median(a / b for a, b in zip(rates[OPENED_BEFORE], rates[name], strict=True)))
        if name in rates
        else Line(f"{what}: not measured, as it is not installed", least, float("nan"))
        for what, rates, name, least in asked
    ]


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
    gained = training_steps.gains(raced, peak, bandwidth)
    print(f"\n{training_steps.multires_table(gained)}")
    lines = [
        Line(f"training step of {name}, over plain float32", 2.0, ours.median("training") / plain.median("training"))
        for name, (plain, ours) in raced.items()
    ]
    for name in ("single", "slow"):
        plain, ours = raced[name]
        share = ours.median("training") * plain.training_gflop_per_clip / peak
        lines.append(Line(f"training step of {name}, share of the peak", 0.6, share))
    for name in ("single", "slow"):
        for gain in gained[name]:
            what = f"multires over full, {name}, {gain.work}, share of what is predicted"
            lines.append(Line(what, 0.95 if gain.work == "testing" else 0.9, training_steps.share_of_predicted(gain)))
    return lines


def end_to_end(options: Sequence[str], rounds: int) -> list[Line]:
    """Fits of the full-width multires network, from the cache and from files, each between two runs of steps alone.

    The machine's own rate drifts by more than what is asked about within the minutes that the rest of the table takes.
    """
    stages = ("waiting", "forward", "backward", "optimizer")
    kept, read_over_lost = [], []
    print("\nfit end to end, clips/s: steps alone before and behind it, the fit, its reading of clips with one core")
    with tempfile.TemporaryDirectory() as scratch:
        alone = _steps_alone()
        for number in range(rounds):
            for mode in ("disk", "off") if number % 2 == 0 else ("off", "disk"):
                run = Path(scratch) / f"run-{number}-{mode}"
                report = _speed([*options, "--data.cache", mode, "--data.cache_dir", scratch], run)
                before, alone = alone, _steps_alone()
                fit, reading = _rate(report["training"], stages), _rate(report["loading"], ("whole",))
                compute = statistics.harmonic_mean([before, alone])
                print(f"cache {mode}: {before:.1f} and {alone:.1f}, {fit:.1f}, {reading:.0f}", flush=True)
                if mode == "disk":
                    kept.append(fit / compute)
                else:
                    lost = 1 / fit - 1 / compute
                    read_over_lost.append(1 / reading / lost if lost > 0 else float("inf"))
    return [
        Line("fit from the cache, share of steps alone", 0.95, statistics.median(kept)),
        Line("fit from files, reading over what is lost", 1.0, statistics.median(read_over_lost)),
    ]


def _steps_alone() -> float:
    """Clips/s of the same network's training steps on a batch in memory."""
    return training_steps.in_own_process("single_multires", is_plain=False, steps=16).median("training")


def _speed(options: Sequence[str], run: Path) -> dict[str, Any]:
    """What `speed` writes of a fit in which every epoch visits the same two clips of each video."""
    words = [sys.executable, "-m", "benchmark", "speed", "--config", "conf/multires.yaml", *options]
    words += ["--model.width", "1.0", "--data.clips_per_video.train", "2", "--data.clips_per_video.train_epoch", "2"]
    words += ["--data.batch_size", str(BATCH), "--data.seed", "0", "--speed.seed", "0"]  # the clips that fill the cache
    words += ["--speed.clips", "400", "--speed.rounds", "3", "--speed.steps", "21", "--run_dir", str(run)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    report: dict[str, Any] = json.loads((run / "speed.json").read_text("utf-8"))
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
    own, options = split_options()
    chosen = parser.parse_args(own)
    tune_process()
    lines = loading(chosen.folder, chosen.clips, chosen.rounds) + cache(chosen.folder, chosen.clips)
    before, raced, behind = (
        training_steps.limits(),
        training_steps.race(NETWORKS, chosen.steps),
        training_steps.limits(),
    )
    peak, bandwidth = (max(both) for both in zip(before, behind, strict=True))  # others' work can only lower a limit
    lines += steps(raced, peak, bandwidth)
    if options:
        lines += end_to_end(options, chosen.rounds)
    print("\n" + aligned(["what", "asked", "found", ""], [line.cells() for line in lines]))
    if chosen.out:
        chosen.out.write_text(json.dumps([dataclasses.asdict(line) for line in lines], indent=1), "utf-8")


if __name__ == "__main__":
    main()
