"""What a measurement of speed found: nothing but numbers, the raw ones of every round, and facts about the machine.

Everything that is printed, drawn or written is worked out from these classes alone.
"""

import dataclasses
import json
import math
import statistics
from pathlib import Path
from typing import Any

from benchmark.wording import counted


@dataclasses.dataclass(frozen=True)
class Stage:
    """One piece of work, timed in rounds.

    Args:
        name: For people.
        clips: Clips of each round.
        seconds: Wall-clock seconds of each round.

    Raises:
        ValueError: If there is no round, or not as many counts as times.
    """

    name: str
    clips: tuple[int, ...]
    seconds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.clips or len(self.clips) != len(self.seconds):
            raise ValueError(f"{self.name} has {len(self.clips)} counts and {len(self.seconds)} times")

    @property
    def clips_per_second(self) -> tuple[float, ...]:
        """Of each round; infinite where no time went by."""
        return tuple(
            clips / seconds if seconds > 0 else math.inf
            for clips, seconds in zip(self.clips, self.seconds, strict=True)
        )

    @property
    def milliseconds_per_clip(self) -> tuple[float, ...]:
        """Of each round; infinite where there were no clips."""
        return tuple(
            1e3 * seconds / clips if clips else math.inf
            for clips, seconds in zip(self.clips, self.seconds, strict=True)
        )

    @property
    def rate(self) -> float:
        """Median clips/s."""
        return statistics.median(self.clips_per_second)

    @property
    def milliseconds(self) -> float:
        """Median milliseconds a clip."""
        return statistics.median(self.milliseconds_per_clip)


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the numbers were measured on.

    Args:
        processor: Name of the processor.
        cores: Cores that this process may use.
        threads: Threads that PyTorch computes with.
        device: Name of the GPU, or `cpu`.
        torch_version: Of PyTorch.
        libraries: Versions of the packages that the numbers depend on.
        matmul_peak_gflop_per_second: Measured on large square products, by dtype.
        memory_bandwidth_bytes_per_second: Measured on a large copy, bytes read plus bytes written.
    """

    processor: str
    cores: int
    threads: int
    device: str
    torch_version: str
    libraries: dict[str, str]
    matmul_peak_gflop_per_second: dict[str, float]
    memory_bandwidth_bytes_per_second: float

    @property
    def title(self) -> str:
        """One line."""
        shown = self.processor if self.device == "cpu" else f"{self.device}, {self.processor}"
        return f"{shown}, {counted(self.cores, 'core')}, {counted(self.threads, 'thread')}"


@dataclasses.dataclass(frozen=True)
class Loading:
    """One process reads training clips.

    Args:
        decoder: Backend that decoded.
        stages: What a clip goes through, in order.
        whole: All stages together, as a loader worker runs them.
        decoding_alone: The least any reader must do for the same clips: open, seek, decode, convert nothing.
        timelines: Learning which frame is where, once a file; its `clips` count files.
        cached: The same clips from the frame cache, where one is configured.
        unreadable: Clips that could not be read and are not counted.
    """

    decoder: str
    stages: tuple[Stage, ...]
    whole: Stage
    decoding_alone: Stage
    timelines: Stage
    cached: Stage | None
    unreadable: int

    @property
    def share_of_limit(self) -> float:
        """Clips/s of the whole over those of decoding alone, median over the rounds."""
        pairs = zip(self.whole.clips_per_second, self.decoding_alone.clips_per_second, strict=True)
        return statistics.median(whole / limit for whole, limit in pairs)


@dataclasses.dataclass(frozen=True)
class Training:
    """Steps of a real fit, after its warm-up.

    Args:
        precision: As Lightning names it.
        dtype: In which the matrix products are computed.
        batch_size: Clips of a full batch.
        workers: Loader processes.
        timed_batches: Batches that the times are of.
        whole_epochs: Epochs that these are; 0 where they are part of one.
        waiting: For the next batch to be on the device.
        transfer: A batch from pinned memory to the device, apart from the fit; None where they are one.
        forward: With the loss.
        backward: The gradients.
        optimizer: The update of the weights, and what Lightning does at the end of a step.
        peak_memory_mb: Of the GPU if there is one, else of the process.
        inference_gflop_per_clip: Counted, one view of one clip.
        training_gflop_per_clip: Counted in a step of the fit, forward and backward.
    """

    precision: str
    dtype: str
    batch_size: int
    workers: int
    timed_batches: int
    whole_epochs: int
    waiting: Stage
    transfer: Stage | None
    forward: Stage
    backward: Stage
    optimizer: Stage
    peak_memory_mb: float
    inference_gflop_per_clip: float
    training_gflop_per_clip: float

    @property
    def compute(self) -> Stage:
        """Forward, backward and optimiser."""
        return _total("compute", self.forward, self.backward, self.optimizer)

    @property
    def end_to_end(self) -> Stage:
        """Waiting and computing."""
        return _total("end to end", self.waiting, self.forward, self.backward, self.optimizer)

    @property
    def waiting_share(self) -> float:
        """Share of the time spent waiting for data over all rounds, 0 to 1."""
        return sum(self.waiting.seconds) / sum(self.end_to_end.seconds)

    def share_of_peak(self, machine: Machine) -> float:
        """Floating-point operations a second of the compute part over the measured peak of its dtype."""
        peak = machine.matmul_peak_gflop_per_second[self.dtype]
        return self.training_gflop_per_clip * self.compute.rate / peak


@dataclasses.dataclass(frozen=True)
class Scoring:
    """What an average costs, which is not trained: batches of one view, computed alone.

    Args:
        precision: As Lightning names it.
        batch_size: Clips of a batch.
        whole: All members.
        members: Each by itself.
        gflop_per_clip: Counted, one view of one clip, all members.
    """

    precision: str
    batch_size: int
    whole: Stage
    members: tuple[Stage, ...]
    gflop_per_clip: float


def _total(name: str, *stages: Stage) -> Stage:
    seconds = zip(*(stage.seconds for stage in stages), strict=True)
    return Stage(name, stages[0].clips, tuple(sum(parts) for parts in seconds))


@dataclasses.dataclass(frozen=True)
class NetworkSpeed:
    """What one network does for a clip.

    Args:
        name: `full` or `multires`.
        parameters: Numbers that are trained.
        gflop_per_clip: Counted.
        roofline_seconds_per_step: Predicted for a batch.
        measured: Batches in alternation with the other network.
    """

    name: str
    parameters: int
    gflop_per_clip: float
    roofline_seconds_per_step: float
    measured: Stage


@dataclasses.dataclass(frozen=True)
class Gain:
    """How much faster two small streams are than one full-size one.

    Args:
        work: `testing` or `training`.
        full: The network that sees 170x170.
        multires: The one of a fovea and a context stream.
    """

    work: str
    full: NetworkSpeed
    multires: NetworkSpeed

    @property
    def by_arithmetic(self) -> float:
        """Ratio of the floating-point operations."""
        return self.full.gflop_per_clip / self.multires.gflop_per_clip

    @property
    def by_roofline(self) -> float:
        """Ratio of the predicted seconds."""
        return self.full.roofline_seconds_per_step / self.multires.roofline_seconds_per_step

    @property
    def measured(self) -> tuple[float, ...]:
        """Ratio of the measured clips/s, by round."""
        pairs = zip(self.multires.measured.clips_per_second, self.full.measured.clips_per_second, strict=True)
        return tuple(multires / full for multires, full in pairs)


@dataclasses.dataclass(frozen=True)
class PeerComparison:
    """Our reader beside other libraries on the same clips.

    Args:
        training: Each way of reading one clip, by name; ours are `clipbench, first opening`, which learns the file's
            timeline, and `clipbench, opened before`, which knows it.
        testing: Each way of reading 20 clips of a video.
        grey_levels: Mean absolute difference of each library's frames to ours, 0 to 255.
        missing: Libraries that are not there, with what to install, or that cannot read these videos.
    """

    training: tuple[Stage, ...]
    testing: tuple[Stage, ...]
    grey_levels: dict[str, float]
    missing: dict[str, str]


@dataclasses.dataclass(frozen=True)
class SpeedReport:
    """Everything that one call of `speed` found.

    Args:
        name: Of the configuration.
        machine: What it was measured on.
        loading: Training clips, one process.
        training: Steps of a fit; None of what is not trained.
        scoring: What that costs instead.
        gains: Of two streams over one, where the architecture offers both.
        comparison: With other libraries, where it was asked for.
        config: The whole configuration, as plain values.
    """

    name: str
    machine: Machine
    loading: Loading
    training: Training | None
    gains: tuple[Gain, ...]
    comparison: PeerComparison | None
    config: dict[str, Any]
    scoring: Scoring | None = None

    def write(self, path: Path) -> None:
        """Write all of it as JSON; what is not a finite number becomes null."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_finite(dataclasses.asdict(self)), indent=1, allow_nan=False, default=str), "utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(held) for held in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
