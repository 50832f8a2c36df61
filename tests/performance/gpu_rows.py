"""What is asked of a GPU, row by row, beside what was found. See `gpu`."""

from collections.abc import Iterator, Mapping

from tests.performance.gpu_step import PLAIN, Size
from tests.performance.targets import Line
from tests.performance.training_steps import NETWORKS, STRATEGIES

Rates = Mapping[str, Mapping[str, float]]
"""Clips/s by way, then by work and batch."""

EARLIER = {"single": 5050.0, "single_multires": 3167.0, "slow": 3497.0, "slow_multires": 2339.0}
"""Clips/s of training on 32 clips on an H200, before networks were rewritten for GPUs."""
WORKS = ("train", "test")
MISSING = float("nan")


def rows(
    found: Mapping[str, Rates],
    gflop: Mapping[str, Mapping[str, float]],
    peak: float,
    size: Size,
    fits: Mapping[int, Mapping[str, float]],
    ledgers: Mapping[str, float],
) -> list[Line]:
    """Every row, also those of which nothing is known.

    Args:
        found: Rates by network.
        gflop: Operations of a clip by network and work.
        peak: GFLOP/s in bfloat16.
        size: Of the batches.
        fits: Of fits from the cache, by clips of a batch.
        ledgers: Shares that are equal.
    """
    train, test = f"train {size.large}", f"test {size.large}"
    lines = [
        Line(f"{name}, {key}, over the best plain", 1.2, _ratio(_ours(found, name, key), _best(found, name, key)))
        for name in NETWORKS
        for key in (train, test)
    ]
    for name in ("single", "slow"):
        needed = _ours(found, name, train) * gflop.get(name, {}).get("train", MISSING)
        lines.append(Line(f"{name}, {train}, share of the peak", 0.35, _ratio(needed, peak)))
    lines += _multires(found, size)
    small = f"train {size.small}"
    for name, rate in EARLIER.items():
        lines.append(Line(f"{name}, {small}, over {rate:,.0f} clips/s", 2.5, _ratio(_ours(found, name, small), rate)))
    for clips in (size.small, size.large):
        alone, rate = _ours(found, "single_multires", f"train {clips}"), fits.get(clips, {}).get("clips/s", MISSING)
        lines.append(Line(f"fit of single_multires from the cache, {clips}, over steps", 0.9, _ratio(rate, alone)))
    for name, share in (("rows", "rows, clips and status"), ("scores", "scores within 1e-3"), ("hits", "hits or ties")):
        lines.append(Line(f"ledger and the processor's, share of equal {share}", 1.0, ledgers.get(name, MISSING)))
    return lines


def _multires(found: Mapping[str, Rates], size: Size) -> Iterator[Line]:
    """Multires over the full frame."""
    asked = ((f"test {size.large}", 1.5), (f"train {size.large}", 1.4), *((f"{w} {size.small}", 1.2) for w in WORKS))
    for name in STRATEGIES:
        for key, least in asked:
            gain = _ratio(_ours(found, f"{name}_multires", key), _ours(found, name, key))
            yield Line(f"{name}, {key}, multires over full", least, gain)


def _ours(found: Mapping[str, Rates], name: str, key: str) -> float:
    """What a long fit runs; a network that could not be compiled runs as it is."""
    ways = found.get(name, {})
    return next((ways[way][key] for way in ("ours", "ours_uncompiled") if key in ways.get(way, {})), MISSING)


def _best(found: Mapping[str, Rates], name: str, key: str) -> float:
    """Of the plain ways."""
    return max(
        (rates[key] for way, rates in found.get(name, {}).items() if way in PLAIN and key in rates), default=MISSING
    )


def _ratio(one: float, other: float) -> float:
    return one / other if other else MISSING
