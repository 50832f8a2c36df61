"""Sample boards: one of measured rows with groups and failures, one of claims, and names that mean harm."""

from benchmark.identity import Identity
from benchmark.leaderboard.board import Board, Row
from benchmark.protocol import Protocol
from benchmark.results.record import Value

HARMFUL = (
    "<script>alert(1)</script>",
    "a | b | [x](javascript:alert(1)) ![y](https://example.com/y.png)",
    "https://example.com www.example.com me@example.com",
    "`code` **bold** _it_ ~~no~~ $$x$$ <b>&lt;i</b> \\| {{ 7 * 7 }}",
    '"><img src=x onerror=alert(1)>\n# heading\n\n- list \u202eright to left',
)


def measured_row(name: str, *, hit: float, speed: float | None, group: float | None = None, failed: int = 0) -> Row:
    """A row with all of its figures."""
    metrics = {
        "clip_hit1": Value.of(hit - 0.1),
        "clip_hit5": Value.of(hit),
        "video_hit1": Value.of(hit, hit - 0.05, hit + 0.05),
        "video_hit5": Value.of(hit + 0.1),
        "map": Value.of(hit - 0.2),
    }
    if group is not None:
        metrics |= {"map/Sports": Value.of(group), "map/Body-Motion Only": Value.of(group / 2)}
    return Row(
        entry_id=f"made/fold1/{len(name)}",
        name=name,
        tier="recomputed",
        rank=1,
        metrics=metrics,
        source="made/fold1",
        decoded_only={"video_hit1": Value.of(hit + 0.01)} if failed else None,
        videos=1000,
        failed_videos=failed,
        held_share=0.5,
        provenance="clean",
        clips_per_second=speed,
        gflop_per_clip=1.25,
        parameters=12345678,
        precision="32-true",
        hardware="Made CPU",
        created="2026-01-02",
    )


def claimed_row(name: str) -> Row:
    """A row of the paper's kind: a few numbers and a source."""
    return Row(
        entry_id=f"paper/{len(name)}",
        name=name,
        tier="claimed",
        rank=None,
        metrics={"clip_hit1": Value.of(0.411), "video_hit1": Value.of(0.593), "video_hit5": Value.of(0.777)},
        source="Karpathy et al. 2014, Table 1",
    )


def sample_boards() -> list[Board]:
    """A measured board of three rows and a board of one claim."""
    rows = (
        measured_row("slow fusion", hit=0.6, speed=20.0, group=0.5, failed=3),
        measured_row("single frame", hit=0.5, speed=200.0, group=0.4),
        measured_row("of unknown speed", hit=0.4, speed=None),
    )
    protocol = Protocol()
    measured = Board(Identity("Made", 1), protocol.hash, "20 clips, 4 views", rows)
    return [measured, Board(Identity("Sports-1M"), None, "the paper's own", (claimed_row("single-frame"),))]


def harmful_boards() -> list[Board]:
    """A board whose names, classes, groups and sources all mean harm, and a claimed one."""
    rows = tuple(measured_row(name, hit=0.5, speed=10.0, group=0.5) for name in HARMFUL)
    for row, name in zip(rows, HARMFUL, strict=True):
        row.metrics[f"map/{name}"] = Value.of(0.25)
    measured = Board(Identity(HARMFUL[0], 1, HARMFUL), Protocol().hash, HARMFUL[1], rows)
    claimed = Board(Identity(HARMFUL[1]), None, HARMFUL[0], tuple(claimed_row(name) for name in HARMFUL))
    return [measured, claimed]
