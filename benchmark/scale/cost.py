"""What Sports-1M at its size takes: hours, terabytes, cores and money, worked out from figures that anyone may change.

M is 10^6 bytes, TB 10^12. A figure is measured by this project (docs/sports1m.md and tests/performance/LOG.md say how),
published or assumed; the last are prices and what the site allows, which change and of which the user knows better.
"""

import dataclasses

SECONDS = 3600.0


@dataclasses.dataclass(frozen=True)
class Network:
    """A strategy at the paper's width.

    Args:
        name: Of the configuration.
        gflop: Operations of a clip, forward, in units of 10^9.
        gpu_clips_per_second: Trained on one GPU, steps alone, or 0 where that was not measured.
        cpu_clips_per_second: Trained on one processor, or 0.
    """

    name: str
    gflop: float
    gpu_clips_per_second: float = 0.0
    cpu_clips_per_second: float = 0.0


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What the cost is worked out from.

    Args:
        videos: On the official lists (published).
        alive_share: Share of them that can still be fetched (assumed: nobody has published today's).
        source_mb: Of a video at 240 lines (assumed: 336 s, the published mean, at 0.3 Mbit/s).
        fetches_per_hour: Of one network address (assumed).
        addresses: Network addresses that fetch (assumed).
        prepare_core_seconds: Of a video: 100 clips decoded and encoded as short-GOP H.264 (worked out from 53 clips a
            second, measured on short videos).
        clips_per_video: That are stored.
        compact_bytes: Of a clip as short-GOP H.264 (measured).
        exact_bytes: Likewise as I420 under zstd (measured).
        compact_clips_per_second: Read by one processor (measured).
        exact_clips_per_second: Likewise (measured).
        read_overhead: Bytes read for each that is needed (assumed).
        pass_clips: Clips of one pass.
        training_clips: Clips that a network is trained on (published).
        usd_core_hour: Of a processor (assumed).
        usd_gpu_hour: Of a GPU of the kind that was measured (assumed).
        usd_tb_month: Of storage (assumed).
        months: That the clips are kept (assumed).
    """

    videos: int = 1_133_158
    alive_share: float = 0.6
    source_mb: float = 12.6
    fetches_per_hour: float = 300.0
    addresses: int = 20
    prepare_core_seconds: float = 1.9
    clips_per_video: int = 100
    compact_bytes: int = 43_000
    exact_bytes: int = 375_000
    compact_clips_per_second: float = 174.0
    exact_clips_per_second: float = 180.0
    read_overhead: float = 1.3
    pass_clips: int = 50_000_000
    training_clips: int = 500_000_000
    usd_core_hour: float = 0.04
    usd_gpu_hour: float = 4.0
    usd_tb_month: float = 23.0
    months: float = 3.0


NETWORKS = (
    Network("single_frame", 2.60, gpu_clips_per_second=40_500),
    Network("multires", 1.51, gpu_clips_per_second=53_000, cpu_clips_per_second=32.5),
    Network("early_fusion", 4.43),
    Network("late_fusion", 5.17),
    Network("slow_fusion", 8.94, gpu_clips_per_second=12_900, cpu_clips_per_second=13.5),
    Network("slow_multires", 4.79),
)
"""The paper's. On a GPU: compiled steps alone on one H200; on a processor: half of what two make together. Both are
measured (tests/performance/LOG.md)."""


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the table.

    Args:
        what: Is done.
        hours: That it takes, with all that is said in `on`.
        on: What works for so long.
        terabytes: That are moved or kept.
        usd: That it costs.
    """

    what: str
    hours: float | None
    on: str
    terabytes: float | None
    usd: float | None


def cost_lines(inputs: Inputs, networks: tuple[Network, ...] = NETWORKS) -> list[Line]:
    """The cost of each part of the way, in its order.

    Args:
        inputs: What it is worked out from.
        networks: That are trained. One that was not measured on a GPU is taken to reach there as many operations a
            second as the first one; on processors it has no line then.
    """
    held = inputs.videos * inputs.alive_share
    clips = held * inputs.clips_per_video
    prepare = held * inputs.prepare_core_seconds / SECONDS
    lines = [
        Line(
            "fetch",
            inputs.videos / inputs.fetches_per_hour / inputs.addresses,
            f"{inputs.addresses} addresses",
            held * inputs.source_mb / 1e6,
            None,
        ),
        Line("prepare", prepare, "1 core", None, prepare * inputs.usd_core_hour),
    ]
    formats = (
        ("compact", inputs.compact_bytes, inputs.compact_clips_per_second),
        ("exact", inputs.exact_bytes, inputs.exact_clips_per_second),
    )
    for name, size, _ in formats:
        kept = clips * size / 1e12
        lines.append(
            Line(f"store {name}, {inputs.months:g} months", None, "", kept, kept * inputs.usd_tb_month * inputs.months)
        )
    for name, size, rate in formats:
        hours = inputs.pass_clips / rate / SECONDS
        moved = inputs.pass_clips * size * inputs.read_overhead / 1e12
        what = f"read {inputs.pass_clips / 1e6:g} million clips, {name}"
        lines.append(Line(what, hours, "1 core", moved, hours * inputs.usd_core_hour))
    reference = networks[0]
    for network in networks:
        what = f"train {network.name} on {inputs.training_clips / 1e6:g} million clips"
        by_operations = reference.gpu_clips_per_second * reference.gflop / network.gflop
        if rate := network.gpu_clips_per_second or by_operations:
            hours = inputs.training_clips / rate / SECONDS
            cores = rate / inputs.compact_clips_per_second
            price = hours * (inputs.usd_gpu_hour + cores * inputs.usd_core_hour)
            known = "" if network.gpu_clips_per_second else f", by operations from {reference.name}"
            lines.append(Line(what, hours, f"1 GPU fed by {cores:.0f} cores{known}", None, price))
        if network.cpu_clips_per_second:
            hours = inputs.training_clips / network.cpu_clips_per_second / SECONDS
            lines.append(Line(what, hours, "1 core", None, hours * inputs.usd_core_hour))
    return lines


def cost_table(lines: list[Line]) -> str:
    """The lines as a table in Markdown."""
    rows = ["| | hours | on | TB | USD |", "|---|---|---|---|---|"]
    for line in lines:
        cells = [line.what, _number(line.hours), line.on, _number(line.terabytes), _number(line.usd)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
