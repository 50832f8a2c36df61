"""Boards: who ranks with whom, against counts by hand."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from benchmark.identity import Identity
from benchmark.leaderboard.board import Board, Row
from benchmark.leaderboard.board_tables import without_clips
from benchmark.leaderboard.entries import Entry, add_entry
from benchmark.leaderboard.ranking import LEVEL, boards_of, longest_chains, rank_entries, read_boards, tier_of
from benchmark.leaderboard.statements import Signature, Signed
from benchmark.leaderboard.tables import markdown
from benchmark.protocol import Protocol
from benchmark.results.comparison import common_videos, compare
from benchmark.results.ledger import Ledger
from benchmark.results.record import Provenance, Value
from benchmark.results.statistics import exchange_p_value
from tests.generators.ledgers import ledger_of_clips, make_ledger, make_record, make_reproduction, write_run
from tests.performance.coverage import draw_hits, draw_sources

VIDEOS, CLASSES = 120, 4


def ledger(right: float, seed: int, videos_per_source: int = 2) -> Ledger:
    """A model that is right on a share of the videos, whole source groups at a time."""
    labels = np.eye(CLASSES, dtype=bool)[np.arange(VIDEOS) % CLASSES]
    sources = np.arange(VIDEOS) // videos_per_source
    is_right = np.random.default_rng(seed).permutation(sources.max() + 1)[sources] < right * (sources.max() + 1)
    best = np.where(is_right, np.arange(VIDEOS) % CLASSES, (np.arange(VIDEOS) + 1) % CLASSES)
    clips = np.full((VIDEOS, 2, CLASSES), 0.1, np.float32)
    clips[np.arange(VIDEOS), :, best] = 0.7
    return ledger_of_clips(clips, labels, source_groups=[f"s{source:03d}" for source in sources])


def entry(name: str, of: Ledger | None, provenance: Provenance = "clean") -> Entry:
    return Entry(name, make_record(of or ledger(0.5, 0), name=name, provenance=provenance), of, None)


def ranks_of(*entries: Entry) -> list[int | None]:
    return list(rank_entries(entries).ranks)


def test_a_rank_is_one_more_than_the_last_of_those_that_are_better() -> None:
    entries = [entry("half", ledger(0.5, 1)), entry("best", ledger(0.95, 2)), entry("poor", ledger(0.1, 3))]
    assert ranks_of(*entries) == [2, 1, 3]


def test_equals_share_a_rank() -> None:
    assert ranks_of(entry("a", ledger(0.5, 1)), entry("b", ledger(0.52, 2))) == [1, 1]


def test_what_others_enter_moves_no_rank() -> None:
    """Copies of any entry, weak ones, and ones that have no rank."""
    entries = [entry(str(n), ledger(share, n)) for n, share in enumerate((0.95, 0.6, 0.55, 0.2))]
    expected = ranks_of(*entries)
    assert expected == [1, 2, 2, 3]
    for copied in range(4):
        assert ranks_of(*entries, *[entries[copied]] * 12)[:4] == expected
    weak = [entry(f"weak {n}", ledger(0.15, 10 + n)) for n in range(8)]
    assert ranks_of(*entries, *weak)[:4] == expected
    assert ranks_of(*entries, entry("seen", ledger(1.0, 9), "contaminated"))[:4] == expected


def test_chains_by_hand() -> None:
    assert longest_chains({0: set(), 1: {0}, 2: {0, 1}, 3: {0}, 4: {2, 3}}) == {0: 1, 1: 2, 2: 3, 3: 2, 4: 4}
    circle = longest_chains({0: {1}, 1: {0}})  # two that lack different videos
    assert set(circle) == {0, 1}
    assert longest_chains({}) == {}


def test_boards_of_equal_entries_seldom_show_an_order() -> None:
    """Ten equal models on 60 boards: about 3 of them are expected to show an order, and 12 would be a fault."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(60):
        clusters = draw_sources(42, rng)
        hits = draw_hits(0.75, clusters, 0.5, rng, 10, 0.5)
        pairs = itertools.combinations(range(10), 2)
        wrong += any(exchange_p_value(hits[one] - hits[other], clusters) < LEVEL for one, other in pairs)
    assert wrong < 12


def test_a_board_says_what_it_could_detect() -> None:
    many = [entry("a", ledger(0.75, 1, 2)), entry("b", ledger(0.7, 2, 2))]
    standing = rank_entries(many)
    first, second = common_videos(ledger(0.75, 1, 2), ledger(0.7, 2, 2))
    paired = compare(first, second).metrics["video_hit1"].paired
    assert paired is not None
    assert standing.pair_detectable == pytest.approx(paired.detectable())
    assert standing.detectable == pytest.approx(paired.detectable(LEVEL))
    assert standing.detectable > standing.pair_detectable > 0  # type: ignore[operator]
    assert rank_entries(many[:1]).detectable is None
    few = [entry("a", ledger(0.75, 1, 30)), entry("b", ledger(0.25, 1, 30))]
    assert rank_entries(few).detectable is None


def test_few_sources_make_a_difference_less_certain() -> None:
    """The same shares of hits: of 60 sources the difference is beyond doubt, of 4 it is not."""
    assert ranks_of(entry("a", ledger(0.75, 1, 2)), entry("b", ledger(0.25, 1, 2))) == [1, 2]
    assert ranks_of(entry("a", ledger(0.75, 1, 30)), entry("b", ledger(0.25, 1, 30))) == [1, 1]


def test_contaminated_entries_and_those_without_ledger_have_no_rank() -> None:
    entries = [entry("seen", ledger(1.0, 1), "contaminated"), entry("absent", None), entry("half", ledger(0.5, 1))]
    assert ranks_of(*entries) == [None, None, 1]


def test_an_entry_that_lacks_videos_has_no_rank() -> None:
    """The videos that a model gets right, and none of the others: not having the hard ones does not pay."""
    whole = ledger(0.6, 1)
    right = whole.select(np.flatnonzero(whole.scores.argmax(1) == whole.labels.argmax(1)))
    part = Ledger(dataclasses.replace(right.info, held_videos=len(right)), right.table)
    assert ranks_of(entry("whole", whole), entry("easy", part)) == [1, None]


@pytest.mark.parametrize("absent", [True, False])
def test_what_has_no_rank_itself_takes_none_from_others(absent: bool) -> None:
    """A record without its ledger, or of weights that saw test videos, which says that it holds many more."""
    entries = [entry("a", ledger(0.9, 1)), entry("b", ledger(0.2, 2))]
    boasts = entry("boasts", None if absent else ledger(0.5, 3), "clean" if absent else "contaminated")
    dataset = boasts.record.dataset.model_copy(update={"held_videos": 10**6})
    boasts = dataclasses.replace(boasts, record=boasts.record.model_copy(update={"dataset": dataset}))
    assert ranks_of(*entries, boasts) == [1, 2, None]


def test_intervals_of_an_older_method_are_not_shown() -> None:
    made = entry("old", ledger(0.5, 1))
    old = dataclasses.replace(made, record=made.record.model_copy(update={"intervals": "percentile-bootstrap"}))
    shown, hidden = (boards_of([one], [])[0].rows[0].metrics["video_hit1"] for one in (made, old))
    assert shown.low is not None
    assert (hidden.value, hidden.low) == (shown.value, None)


def test_only_equal_protocol_dataset_fold_and_subset_share_a_board(tmp_path: Path) -> None:
    root = tmp_path / "leaderboards"
    different = [
        make_ledger(1),
        make_ledger(1, model_seed=2),
        make_ledger(3, fold=2),
        make_ledger(4, dataset="Other"),
        make_ledger(5, chosen=tuple(f"c{n}" for n in range(6))),
        make_ledger(6, protocol=Protocol(clips_per_video=4, sampler_seed=1)),
    ]
    for number, made in enumerate(different):
        write_run(tmp_path / str(number), made, name=f"Model {number}")
        add_entry(tmp_path / str(number), root)
    boards = read_boards(root)
    together = sorted(sorted(row.name for row in board.rows) for board in boards)
    assert together == [["Model 0", "Model 1"], ["Model 2"], ["Model 3"], ["Model 4"], ["Model 5"]]
    assert sorted(str(board.identity) for board in boards) == [
        "Made fold 1", "Made fold 1", "Made fold 1, 6 chosen classes", "Made fold 2", "Other fold 1"
    ]  # fmt: skip
    # Two boards that differ in their protocol alone say so in their headings.
    titles = [board.title for board in boards]
    assert len(set(titles)) == len(titles)
    other = Protocol(clips_per_video=4, sampler_seed=1).hash[:8]
    assert f"Made fold 1, protocol {other}" in titles
    assert "Made fold 2" in titles
    headings = [line for line in markdown(boards).splitlines() if line.startswith("## ")]
    assert len(set(headings)) == len(boards)


def test_the_papers_tables_are_claims() -> None:
    root = Path(__file__).resolve().parents[2] / "leaderboards"
    claims = {board.rows[0].source: board for board in read_boards(root) if board.protocol_hash is None}
    first = {row.name: row.metrics for row in claims["Karpathy et al. 2014, Table 1"].rows}
    assert first["slow fusion"]["video_hit1"].value == pytest.approx(0.609)
    assert len(claims) == 3
    assert {row.tier for board in claims.values() for row in board.rows} == {"claimed"}
    assert {row.rank for board in claims.values() for row in board.rows} == {None}


@pytest.mark.parametrize(
    ("change", "signature", "tier"),
    [
        ({}, "listed", "reproduced"),
        ({}, "none", "recomputed"),
        ({}, "wrong", "recomputed"),
        ({"videos": 119}, "listed", "recomputed"),
        ({"largest_difference": 0.02}, "listed", "recomputed"),
        ({"ledger_sha256": "2" * 64}, "listed", "recomputed"),
        ({"checkpoint_sha256": "2" * 64}, "listed", "recomputed"),
    ],
)
def test_the_tier_follows_from_what_was_scored_again_and_who_signed_it(
    change: dict[str, object], signature: Signature, tier: str
) -> None:
    made = ledger(0.5, 0)
    record = make_record(made)
    outcome = make_reproduction(record, **{"videos": VIDEOS, **change})
    assert tier_of(Entry("a", record, made, outcome, Signed(signature, "Ann"))) == tier
    assert tier_of(Entry("a", record, made, None)) == "recomputed"
    assert tier_of(Entry("a", record, None, outcome, Signed(signature, "Ann"))) == "claimed"


def test_boards_name_what_has_no_clips() -> None:
    both = [Row(str(n), f"net {n}", "recomputed", 1, {"clip_hit1": Value(value=n)}, "", videos=9) for n in (None, 0.5)]
    claimed = Row("c", "claim", "claimed", None, {}, "a paper")
    board = Board(Identity("Made", 1), "0" * 16, "20 clips", (*both, claimed))
    said = without_clips(board)
    assert said is not None
    assert "net None" in said
    assert "net 0.5" not in said
    assert "claim" not in said
    assert said in markdown([board])
    assert without_clips(dataclasses.replace(board, rows=(both[1], claimed))) is None
