"""Boards as a finished leaderboard has them, a large one, and one whose every string is an attack."""

import numpy as np

from benchmark.identity import Identity
from benchmark.leaderboard.board import Board, Row, Tier
from benchmark.results.record import Provenance, Value

GROUPS = ("appearance", "motion", "detail", "context")
PROTOCOL = "20 clips of 16 frames, 200x200, 4 views, mean probability, sampler seed 2014"
SHORT_PROTOCOL = "5 clips of 16 frames, 200x200, centre view, mean probability, sampler seed 2014"
SUBSET = ("Archery", "Bowling", "Fencing")

# Name, video Hit@1, clips/s, GFLOP a clip, parameters, tier, provenance.
_ENTRIES: tuple[tuple[str, float, float, float, int, Tier, Provenance], ...] = (
    ("Single frame, test set in training", 0.969, 221.0, 0.72, 6_910_032, "recomputed", "contaminated"),
    ("Slow fusion, multires", 0.918, 148.0, 1.31, 5_420_112, "reproduced", "clean"),
    ("Slow fusion", 0.911, 96.4, 2.52, 7_840_528, "reproduced", "clean"),
    ("Early fusion", 0.873, 187.0, 1.02, 6_951_408, "recomputed", "clean"),
    ("R(2+1)D-18, Kinetics weights", 0.861, 31.2, 40.6, 31_300_416, "recomputed", "unknown"),
    ("Late fusion", 0.807, 176.0, 1.44, 11_021_840, "recomputed", "clean"),
    ("Single frame, multires", 0.782, 412.0, 0.36, 4_310_224, "reproduced", "clean"),
    ("Single frame", 0.779, 221.0, 0.72, 6_910_032, "recomputed", "clean"),
    ("Single frame, context only", 0.622, 455.0, 0.18, 2_210_064, "recomputed", "clean"),
    ("Single frame, fovea only", 0.611, 448.0, 0.18, 2_210_064, "recomputed", "clean"),
)


def around(value: float, half: float) -> Value:
    """A value in the middle of its interval."""
    return Value(value=round(value, 4), low=round(max(value - half, 0), 4), high=round(min(value + half, 1), 4))


def row(
    number: int,
    *,
    name: str,
    video_hit1: float,
    tier: Tier = "recomputed",
    rank: int | None = 1,
    provenance: Provenance | None = "clean",
    failed_videos: int = 0,
    groups: tuple[str, ...] = GROUPS,
    clips_per_second: float | None = 100.0,
    gflop_per_clip: float | None = 1.5,
    parameters: int | None = 5_000_000,
) -> Row:
    """A tested row; its other metrics follow from its accuracy."""
    shares = np.random.default_rng(number).uniform(-0.15, 0.08, len(groups))
    hits = {
        "clip_hit1": around(video_hit1 * 0.93, 0.018),
        "clip_hit5": around(min(video_hit1 * 1.1, 0.99), 0.01),
        "video_hit1": around(video_hit1, 0.025),
        "video_hit5": around(min(video_hit1 * 1.15, 0.995), 0.004),
        "map": around(video_hit1 * 0.97, 0.02),
        **{
            f"map/{group}": around(float(np.clip(video_hit1 + share, 0, 1)), 0.03)
            for group, share in zip(groups, shares, strict=True)
        },
    }
    decoded = (
        {key: around(min((held.value or 0) + 0.01, 1), 0.01) for key, held in hits.items()} if failed_videos else None
    )
    return Row(
        entry_id=f"entry-{number}",
        name=name,
        tier=tier,
        rank=rank,
        metrics=hits,
        decoded_only=decoded,
        source=f"entries/entry-{number}",
        videos=576,
        failed_videos=failed_videos,
        held_share=1 - number % 3 / 100,
        provenance=provenance,
        clips_per_second=clips_per_second,
        gflop_per_clip=gflop_per_clip,
        parameters=parameters,
        precision="32-true" if number % 2 else "bf16-mixed",
        hardware="8 cores, no GPU" if number % 4 else "1 x NVIDIA H100",
        created="2026-11-20",
    )


def _claim(number: int, name: str, clip_hit1: float | None, video_hit1: float, video_hit5: float | None) -> Row:
    known = {"clip_hit1": clip_hit1, "video_hit1": video_hit1, "video_hit5": video_hit5, "map": None}
    return Row(
        entry_id=f"paper-{number}",
        name=name,
        tier="claimed",
        rank=None,
        metrics={key: Value(value=value) for key, value in known.items() if value is not None or key == "map"},
        source="Karpathy et al. 2014, Table 1",
    )


def sample_boards() -> list[Board]:
    """Two folds, a class subset under another protocol, and the paper's claims."""
    rows = [
        row(
            number,
            name=name,
            video_hit1=accuracy,
            tier=tier,
            rank=(1, 2, 2, 4, 4, 6, 7, 7, 9, 9)[number],
            provenance=provenance,
            failed_videos=3 if number == 3 else 0,
            clips_per_second=speed,
            gflop_per_clip=gflop,
            parameters=parameters,
        )
        for number, (name, accuracy, speed, gflop, parameters, tier, provenance) in enumerate(_ENTRIES)
    ]
    second = [
        row(20 + number, name=rows[number + 1].name, video_hit1=0.88 - 0.05 * number, rank=number + 1)
        for number in range(3)
    ]
    subset = [
        row(30 + n, name=f"Slow fusion, seed {n}", video_hit1=0.7 - n / 100, groups=("Sports",)) for n in range(3)
    ]
    claims = (
        _claim(0, "Feature histograms + neural net", None, 0.553, None),
        _claim(1, "Single-frame", 0.411, 0.593, 0.777),
        _claim(2, "Slow fusion", 0.419, 0.609, 0.802),
    )
    return [
        Board(Identity("SyntheticActions-v1", 1), "3f9c1e70aa52b8d4", PROTOCOL, tuple(rows)),
        Board(Identity("SyntheticActions-v1", 2), "3f9c1e70aa52b8d4", PROTOCOL, tuple(second)),
        Board(Identity("UCF101", 1, SUBSET), "b7d02266c9e1f083", SHORT_PROTOCOL, tuple(subset)),
        Board(Identity("Sports-1M"), None, "", claims),
    ]


def large_board(entries: int) -> Board:
    """One board with as many rows, speeds and accuracies drawn at random."""
    generator = np.random.default_rng(0)
    accuracy = np.sort(generator.uniform(0.3, 0.95, entries))[::-1]
    speed = generator.lognormal(4.5, 0.8, entries)
    rows = tuple(
        row(
            number,
            name=f"Network {number:04d}",
            video_hit1=float(accuracy[number]),
            rank=number + 1,
            tier=("reproduced", "recomputed", "claimed")[number % 3],
            clips_per_second=float(speed[number]),
        )
        for number in range(entries)
    )
    return Board(Identity("Large", 1), "00112233445566aa", PROTOCOL, rows)


def hostile_board(text: str) -> Board:
    """A board of two rows in which every string is the text, which no record would pass."""
    rows = tuple(
        Row(
            entry_id=f"{text}{number}",
            name=text,
            tier="recomputed",
            rank=1,
            metrics={
                "video_hit1": around(0.5 + number / 10, 0.02),
                f"map/{text}": around(0.5, 0.02),
                text: around(0.4, 0.01),
                "__proto__": around(0.4, 0.01),
                "map/constructor": around(0.3, 0.01),
            },
            decoded_only={"video_hit1": around(0.6, 0.02), f"map/{text}": around(0.5, 0.02)},
            source=text,
            videos=10,
            failed_videos=1,
            provenance="unknown",
            clips_per_second=50.0 + number,
            gflop_per_clip=0.5 + number,
            precision=text,
            hardware=text,
            created=text,
        )
        for number in range(2)
    )
    return Board(Identity(text, 1, (text, "B")), text, text, rows)
