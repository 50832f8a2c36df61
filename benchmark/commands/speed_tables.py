"""A report of speed as text: aligned tables, each number a median with the range of the rounds."""

import math
import statistics
from collections.abc import Iterable, Sequence

from benchmark.commands.text import aligned
from benchmark.errors import printable
from benchmark.speed.multires import PAPER_CLIPS_PER_SECOND
from benchmark.speed.peers import FIRST_OPENING, OPENED_BEFORE
from benchmark.speed.report import Gain, Loading, Machine, PeerComparison, Scoring, SpeedReport, Stage, Training
from benchmark.wording import counted

_HEADER = ["ms a clip", "clips/s", "range over rounds"]


def speed_tables(report: SpeedReport) -> str:
    """Every part of a report, empty lines between them."""
    parts = [
        _machine(report.name, report.machine),
        _loading(report.loading),
        _training(report.training, report.machine, is_cached=report.loading.cached is not None)
        if report.training is not None
        else "",
        _scoring(report.scoring) if report.scoring is not None else "",
        _gains(report.gains),
        comparison_tables(report.comparison) if report.comparison else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _rate(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _span(values: Sequence[float]) -> str:
    return f"{_rate(min(values))} to {_rate(max(values))}"


def _row(stage: Stage) -> list[str]:
    return [stage.name, f"{stage.milliseconds:.3f}", _rate(stage.rate), _span(stage.clips_per_second)]


def _table(first: str, stages: Iterable[Stage]) -> str:
    return aligned([first, *_HEADER], [_row(stage) for stage in stages])


def _machine(name: str, machine: Machine) -> str:
    peaks = ", ".join(f"{rate:,.0f} in {dtype}" for dtype, rate in machine.matmul_peak_gflop_per_second.items())
    bandwidth = machine.memory_bandwidth_bytes_per_second / 1e9
    return printable(f"{name} on {machine.title}, torch {machine.torch_version}") + (
        f"\nmatrix products reach {peaks} GFLOP/s, copies {bandwidth:,.1f} GB/s read plus written"
    )


def _loading(loading: Loading) -> str:
    cached = [loading.cached] if loading.cached else []
    files, timelines = loading.timelines.clips[0], loading.timelines
    clips = ", ".join(str(count) for count in dict.fromkeys(loading.whole.clips))
    left_out = f"; {counted(loading.unreadable, 'clip')} left out that could not be read" if loading.unreadable else ""
    return "\n".join(
        [
            f"Loading training clips in one process with {loading.decoder}, "
            f"{clips} clips in each of {counted(len(loading.whole.clips), 'round')}{left_out}",
            _table("stage", [*loading.stages, loading.whole, *cached, loading.decoding_alone]),
            f"all of it reaches {loading.share_of_limit:.0%} of decoding alone; before it a file's timeline is learned "
            f"when it is first opened, {timelines.milliseconds:.2f} ms for each of {counted(files, 'file')}",
        ]
    )


def _training(training: Training, machine: Machine, *, is_cached: bool) -> str:
    shown = [training.forward, training.backward, training.optimizer, training.compute]
    rows = [
        _row(training.transfer) if training.transfer else ["transfer", "-", "-", "-"],
        *(_row(stage) for stage in shown),
        [training.waiting.name, f"{training.waiting.milliseconds:.3f}", "", ""],
        _row(training.end_to_end),
    ]
    workers, epochs = counted(training.workers, "loader worker"), training.whole_epochs
    timed = f"{counted(training.timed_batches, 'batch')} timed"
    if epochs:
        each = counted(training.timed_batches // epochs, "batch")
        timed = f"{counted(epochs, 'whole epoch')} of {each} timed, each from empty loaders"
    ratio = training.training_gflop_per_clip / training.inference_gflop_per_clip
    return "\n".join(
        [
            f"Training, {training.precision}, batches of {training.batch_size}, {workers}; {timed}"
            + ("; what loading has cached is not decoded again" if is_cached else ""),
            aligned(["stage", *_HEADER], rows),
            f"waiting {training.waiting_share:.1%} of the time, peak memory {training.peak_memory_mb:,.0f} MB",
            f"{training.inference_gflop_per_clip:.3f} GFLOP a clip and view in testing, "
            f"{training.training_gflop_per_clip:.3f} in training ({ratio:.2f}x); compute reaches "
            f"{training.share_of_peak(machine):.1%} of the peak in {training.dtype}",
        ]
    )


def _scoring(scoring: Scoring) -> str:
    return "\n".join(
        [
            f"Scoring, {scoring.precision}, batches of {scoring.batch_size}, one view; an average is not trained",
            _table("network", [*scoring.members, scoring.whole]),
            f"{scoring.gflop_per_clip:.3f} GFLOP a clip and view",
        ]
    )


def _gains(gains: Sequence[Gain]) -> str:
    if not gains:
        return ""
    slow, fast = PAPER_CLIPS_PER_SECOND["full"], PAPER_CLIPS_PER_SECOND["multires"]
    header = [
        "multires over full",
        "full clips/s",
        "multires clips/s",
        "by arithmetic",
        "by roofline",
        "measured",
        "range",
    ]
    rows = [
        [
            gain.work,
            _rate(gain.full.measured.rate),
            _rate(gain.multires.measured.rate),
            f"{gain.by_arithmetic:.2f}x",
            f"{gain.by_roofline:.2f}x",
            f"{statistics.median(gain.measured):.2f}x",
            f"{min(gain.measured):.2f}x to {max(gain.measured):.2f}x",
        ]
        for gain in gains
    ]
    rows.append(["paper, section 4.1", f"{slow:g}", f"{fast:g}", "", "", f"{fast / slow:.2f}x", ""])
    return aligned(header, rows)


def comparison_tables(comparison: PeerComparison) -> str:
    """Our reader beside others, for training clips and for the clips of tests."""
    parts = [
        _race("training clip, 10 frames", comparison.training),
        _race("test, 20 clips of a video", comparison.testing),
    ]
    if comparison.grey_levels:
        shown = ", ".join(f"{name} {value:.2f}" for name, value in comparison.grey_levels.items())
        parts.append(f"mean absolute difference of their frames to ours, in grey levels of 255: {shown}")
    parts.append(
        "ours learns a file's timeline when a process first opens it, and remembers it; the others learn it each time"
    )
    parts += [f"not compared: {name} {reason}" for name, reason in comparison.missing.items()]
    return "\n\n".join(parts[:2]) + "".join(f"\n{printable(part)}" for part in parts[2:])


def _race(title: str, stages: Sequence[Stage]) -> str:
    ours = [next(stage for stage in stages if stage.name == name) for name in (FIRST_OPENING, OPENED_BEFORE)]
    rows = [[*_row(stage), *("" if stage is mine else _times(mine, stage) for mine in ours)] for stage in stages]
    return aligned([title, *_HEADER, "our first opening is", "ours, opened before, is"], rows)


def _times(ours: Stage, theirs: Stage) -> str:
    pairs = zip(ours.clips_per_second, theirs.clips_per_second, strict=True)
    return f"{statistics.median(mine / others for mine, others in pairs):.2f}x"
