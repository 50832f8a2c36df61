"""Boards over folds against sums by hand: who is one configuration, its mean, its interval, its spread and its rank."""

import dataclasses
import hashlib
import itertools
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmark.errors import UserError
from benchmark.leaderboard.board import Board, Row
from benchmark.leaderboard.board_tables import board_table, spread_text
from benchmark.leaderboard.claims import Claim, Claims
from benchmark.leaderboard.entries import Entry
from benchmark.leaderboard.folds import Configuration, compare_configurations, configuration_of, configurations
from benchmark.leaderboard.ranking import boards_of, rank_configurations, read_boards
from benchmark.leaderboard.statements import Signed
from benchmark.results.ledger import Ledger
from benchmark.results.record import Provenance, Value
from tests.generators.ledgers import ledger_of_clips, make_record

CLASSES = 4


def ledger(fold: int, right: np.ndarray, sources: np.ndarray) -> Ledger:
    """A model that is right on some videos of a fold."""
    videos = np.arange(len(right))
    labels = np.eye(CLASSES, dtype=bool)[videos % CLASSES]
    best = np.where(right, videos % CLASSES, (videos + 1) % CLASSES)
    clips = np.full((len(right), 2, CLASSES), 0.1, np.float32)
    clips[videos, :, best] = 0.7
    made = ledger_of_clips(clips, labels, source_groups=[f"f{fold}/s{source:03d}" for source in sources])
    return Ledger(dataclasses.replace(made.info, fold=fold), made.table)


def entry(
    name: str, fold: int, right: np.ndarray, *, seed: int = 0, provenance: Provenance = "clean", options: object = None
) -> Entry:
    made = ledger(fold, right, np.arange(len(right)) // 3)
    config = {
        "seed_everything": seed,
        "run_dir": f"runs/{name}{fold}",
        "model": {"class_path": "Net", "init_args": {"width": options}},
        "data": {"init_args": {"fold": fold, "num_workers": fold, "batch_size": 32}},
    }
    record = make_record(made, name=name, provenance=provenance).model_copy(update={"config": config, "seed": seed})
    return Entry(f"made/fold{fold}/{name}-{seed}", record, made, None)


def with_hit1(made: Entry, value: float) -> Entry:
    metrics = {"video_hit1": Value(value=value)}
    return dataclasses.replace(made, record=made.record.model_copy(update={"metrics": metrics}))


def draws(share: float, seed: int, videos: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).permutation(videos) < share * videos


def of_three_folds(name: str, share: float, seeds: int = 1, videos: tuple[int, ...] = (60, 45, 75)) -> list[Entry]:
    numbers = itertools.product(range(3), range(seeds))
    return [entry(name, fold + 1, draws(share, 10 * fold + seed, videos[fold]), seed=seed) for fold, seed in numbers]


def only(entries: list[Entry]) -> Configuration:
    ((_, (held,)),) = configurations(entries)
    return held


def test_runs_that_differ_in_fold_seed_and_places_are_one_configuration() -> None:
    one, other = entry("net", 1, draws(0.5, 1), seed=1), entry("net", 2, draws(0.5, 2), seed=2)
    assert configuration_of(one) == configuration_of(other)
    assert configuration_of(one) != configuration_of(entry("net", 1, draws(0.5, 1), options=0.5))
    assert configuration_of(one) != configuration_of(entry("net, wide", 1, draws(0.5, 1)))


def test_an_option_that_came_later_and_is_not_set_is_none() -> None:
    one = entry("net", 1, draws(0.5, 1))
    later = {
        **one.record.config,
        "data": {"init_args": {**one.record.config["data"]["init_args"], "clip_seconds": None}},
    }
    other = dataclasses.replace(one, record=one.record.model_copy(update={"config": later}))
    assert configuration_of(one) == configuration_of(other)


def test_the_mean_is_of_folds_and_in_each_of_seeds() -> None:
    entries = of_three_folds("net", 0.6, seeds=2)
    shares = [
        [np.mean(draws(0.6, 10 * fold + seed, videos)) for seed in range(2)] for fold, videos in enumerate((60, 45, 75))
    ]
    held = only(entries)
    expected = np.mean([np.mean(fold) for fold in shares])
    value = held.metrics()["video_hit1"]
    assert value.value == pytest.approx(expected)
    assert held.metrics()["clip_hit1"].value == pytest.approx(expected)
    assert value.low is not None
    assert value.high is not None
    assert value.low < expected < value.high


def test_the_spread_is_split_by_hand() -> None:
    entries = of_three_folds("net", 0.6, seeds=3)
    values = np.array([e.record.metrics["video_hit1"].value for e in entries], float).reshape(3, 3)
    spread = only(entries).spread()
    seed = values.var(1, ddof=1).mean()
    between = values.mean(1).var(ddof=1)
    source = 0.0
    for fold, runs in enumerate(np.array(entries, object).reshape(3, 3)):
        hits = np.mean([e.ledger.scores.argmax(1) == e.ledger.labels.argmax(1) for e in runs], 0)
        sums = np.array([hits[first : first + 3].sum() - 3 * hits.mean() for first in range(0, len(hits), 3)]) / 3
        source += sums.var(ddof=1) / len(sums) / 3
        assert len(hits) == (60, 45, 75)[fold]
    assert spread.seed == pytest.approx(math.sqrt(seed))
    assert spread.between == pytest.approx(math.sqrt(between))
    assert spread.source == pytest.approx(math.sqrt(source))
    assert spread.fold == pytest.approx(math.sqrt(max(0, between - source - seed / 3)))


def test_one_seed_tells_nothing_of_seeds() -> None:
    held = only(of_three_folds("net", 0.6))
    assert held.spread().seed is None
    (board,) = [b for b in boards_of(held.entries, []) if b.folds]
    assert "seed -," in spread_text(board.rows[0])
    assert spread_text(board.rows[0]).endswith("1 seed a fold")


def test_simulated_folds_and_seeds_come_out_as_they_were_drawn() -> None:
    """SD 6 points between folds and 3 between seeds; the mean of 400 configurations."""
    rng, found = np.random.default_rng(0), []
    made = dataclasses.replace(entry("net", 1, draws(0.5, 1)), ledger=None)
    for _ in range(400):
        shares = 0.6 + 0.06 * rng.standard_normal((3, 1)) + 0.03 * rng.standard_normal((3, 4))
        runs = {fold: [with_hit1(made, float(share)) for share in some] for fold, some in enumerate(shares)}
        spread = Configuration(runs).spread()
        assert (spread.source, spread.fold) == (None, None)  # without a ledger nothing tells
        found.append((spread.seed or 0.0, spread.between or 0.0))
    seed, between = np.sqrt(np.mean(np.square(found), 0))
    assert seed == pytest.approx(0.03, rel=0.05)
    assert between == pytest.approx(math.sqrt(0.06**2 + 0.03**2 / 4), rel=0.1)


def test_a_configuration_that_lacks_a_fold_is_on_no_board_over_folds() -> None:
    entries = of_three_folds("whole", 0.6) + of_three_folds("part", 0.6)[:2]
    ((folds, held),) = configurations(entries)
    assert folds == (1, 2, 3)
    assert [e.record.name for one in held for e in one.entries] == ["whole"] * 3
    assert list(configurations(of_three_folds("one fold", 0.5)[:1])) == []


def test_ranks_of_means() -> None:
    entries = of_three_folds("good", 0.95) + of_three_folds("fair", 0.5) + of_three_folds("fair too", 0.52)
    ((_, held),) = configurations(entries)
    standing = rank_configurations(held)
    assert standing.ranks == (1, 2, 2)
    assert standing.detectable is not None
    assert standing.pair_detectable is not None
    assert 0 < standing.pair_detectable < standing.detectable < 0.3


def test_three_folds_tell_apart_what_one_does_not() -> None:
    good, fair = of_three_folds("good", 0.62), of_three_folds("fair", 0.42)
    boards = boards_of(good + fair, [])
    ranks = {board.title: [row.rank for row in board.rows] for board in boards}
    assert ranks["Made, mean of 3 folds"] == [1, 2]
    assert any(found == [1, 1] for title, found in ranks.items() if "mean" not in title)


def test_contaminated_runs_take_the_rank_of_the_mean() -> None:
    entries = of_three_folds("net", 0.9) + of_three_folds("seen", 0.9)[:2]
    entries.append(entry("seen", 3, draws(1.0, 9, 75), provenance="contaminated"))
    (board,) = [b for b in boards_of(entries, []) if b.folds]
    rows = {row.name: row for row in board.rows}
    assert (rows["net"].rank, rows["seen"].rank) == (1, None)
    assert (rows["net"].provenance, rows["seen"].provenance) == ("clean", "contaminated")


def test_a_mean_is_confirmed_where_every_run_is_and_its_hash_is_of_all() -> None:
    ann, bo = (Signed("listed", name) for name in ("Ann", "Bo"))
    runs = [
        dataclasses.replace(run, files_sha256=str(number) * 64) for number, run in enumerate(of_three_folds("net", 0.5))
    ]

    def row(*signed: Signed | None) -> Row:
        given = [dataclasses.replace(run, signed=one) for run, one in zip(runs, signed, strict=True)]
        (board,) = [b for b in boards_of(given, []) if b.folds]
        return board.rows[0]

    assert row(ann, None, None).confirmed_by is None
    assert row(ann, ann, ann).confirmed_by == str(ann)
    assert row(ann, bo, ann).confirmed_by == f"{ann}; {bo}"
    expected = hashlib.sha256("\n".join(str(number) * 64 for number in range(3)).encode()).hexdigest()
    assert row(None, None, None).files_sha256 == expected


def test_runs_without_a_common_video_are_on_no_board() -> None:
    """Two seeds of a fold, or two configurations; elsewhere a fold would be left out of the mean unsaid."""

    def of_other_videos(run: Entry) -> Entry:
        assert run.ledger is not None
        names = [f"other {name}" for name in run.ledger.video_ids]
        table = run.ledger.table.set_column(0, "video_id", pa.array(names))
        return dataclasses.replace(run, ledger=Ledger(run.ledger.info, table))

    one, other, third = of_three_folds("net", 0.5), of_three_folds("other", 0.5), of_three_folds("net", 0.5)
    third = [dataclasses.replace(run, entry_id=f"{run.entry_id} again") for run in third]
    with pytest.raises(UserError, match=r"made/fold2/net-0 and .*again .*no labelled video of fold 2 in common"):
        only([*one, third[0], of_other_videos(third[1]), third[2]]).metrics()
    with pytest.raises(UserError, match=r"made/fold1/net-0 and made/fold1/other-0 .*no labelled video of fold 2"):
        compare_configurations(only(one), only([other[0], of_other_videos(other[1]), other[2]]))


def test_means_come_first_and_what_is_claimed_of_the_same_beside_them() -> None:
    claim = Claim(name="slow fusion", metrics={"video_hit1": Value(value=0.65)})
    same, other = (
        Claims(dataset=name, fold=None, classes=None, protocol="theirs", source="Paper", rows=(claim,))
        for name in ("Made, mean of 3 folds", "Other")
    )
    boards = boards_of(of_three_folds("net", 0.6), [other, same])
    assert boards[0].title == f"Made, mean of 3 folds, protocol {str(boards[0].protocol_hash)[:8]}"
    assert [board.title for board in boards[1:]] == [
        "Made, mean of 3 folds, as claimed", "Made fold 1", "Made fold 2", "Made fold 3", "Other",
    ]  # fmt: skip
    assert [board.rows[0].tier for board in boards[:2]] == ["recomputed", "claimed"]
    assert boards[0].folds == (1, 2, 3)
    table = board_table(boards[0])
    assert "SD over folds in points" in table.header
    assert "SD over folds in points" not in board_table(boards[2]).header
    row = boards[0].rows[0]
    assert (row.videos, row.seeds) == (180, (1, 1, 1))


def test_the_first_board_of_the_repository_is_the_mean_of_ucf_101_beside_the_papers_table() -> None:
    boards: list[Board] = read_boards(Path(__file__).resolve().parents[2] / "leaderboards")
    assert [board.title for board in boards[:2]] == [
        "UCF-101, mean of 3 folds, 6 chosen classes",
        "UCF-101, mean of 3 folds",
    ]
    assert {row.source for row in boards[1].rows} == {"Karpathy et al. 2014, Table 3"}
    for board in boards:
        assert all(row.clips_per_second is None for row in board.rows if row.tier != "claimed")
