"""The lists that bind entries are those of the datasets, and a submission that leaves them is named."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmark.data.synthetic_plan import CLASSES, FOLDS, USUAL_SOURCE_GROUPS, plan
from benchmark.data.ucf101 import read_classes, read_list
from benchmark.leaderboard.official import OfficialVideo, check_official, official_videos
from benchmark.protocol import Protocol
from benchmark.results.clip_starts import impossible_clips
from benchmark.results.ledger import SCHEMA, Ledger
from tests.generators.ledgers import ledger_of_clips, make_ledger

EMBEDDED = "SyntheticActions-v2"


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("classes", [None, ("Discs", "BorderRows"), ("FineRows",)])
def test_the_embedded_lists_are_those_of_the_plan(fold: int, classes: tuple[str, ...] | None) -> None:
    chosen = set(classes or CLASSES)
    expected = {
        video.video_id: OfficialVideo(video.source_group, tuple(sorted(chosen & set(video.classes))))
        for video in plan(0, USUAL_SOURCE_GROUPS)
        if video.test_fold == fold and chosen & set(video.classes)
    }
    assert official_videos(EMBEDDED, fold, classes) == expected


def test_ucf101_has_its_known_sizes() -> None:
    lists = [official_videos("UCF-101", fold, None) or {} for fold in (1, 2, 3)]
    assert [len(held) for held in lists] == [3783, 3734, 3696]  # Soomro et al., 2012
    assert {name for held in lists for video in held.values() for name in video.classes} == set(read_classes())
    assert not lists[0].keys() & lists[1].keys()


def test_ucf101_lists_are_the_official_ones() -> None:
    folder = os.environ.get("CLIPBENCH_UCF101_LISTS")
    if folder is None:
        pytest.skip("CLIPBENCH_UCF101_LISTS names no folder with the official lists")
    for fold in (1, 2, 3):
        listed = read_list(Path(folder) / f"testlist{fold:02d}.txt")
        expected = {video.video_id: OfficialVideo(video.source_group, (video.class_name,)) for video in listed}
        assert official_videos("UCF-101", fold, None) == expected


def official_ledger() -> Ledger:
    """What an honest test of two embedded classes leaves."""
    classes = ("Discs", "BorderRows")
    listed = official_videos(EMBEDDED, 1, classes) or {}
    labels = np.array([[name in video.classes for name in classes] for video in listed.values()])
    scores = np.full((len(listed), 2, 2), 0.5, np.float32)
    made = ledger_of_clips(
        scores,
        labels,
        source_groups=[video.source_group for video in listed.values()],
        dataset=EMBEDDED,
        chosen=classes,
        official_videos=len(listed),
        protocol=Protocol(clips_per_video=2),
    )
    names = pa.array(list(listed), SCHEMA.field("video_id").type)
    return Ledger(made.info, made.table.set_column(0, SCHEMA.field("video_id"), names))


def changed(ledger: Ledger, column: str, row: int, value: object) -> Ledger:
    held = ledger.table[column].to_pylist()
    held[row] = value
    field = SCHEMA.field(column)
    return Ledger(
        ledger.info, ledger.table.set_column(SCHEMA.get_field_index(column), field, pa.array(held, field.type))
    )


def test_an_honest_ledger_agrees() -> None:
    assert check_official(official_ledger()) == []


def test_each_way_to_leave_the_list_is_named() -> None:
    ledger = official_ledger()
    some = ledger.select(np.arange(8))
    for forged, said in (
        (some, "it lacks v_"),
        (changed(ledger, "video_id", 0, "v_Discs_g01_c99"), "lacks v_Discs_g01_c99"),
        (changed(ledger, "source_group", 3, None), "other classes or another source for v_"),
        (changed(ledger, "labels", 3, [0, 1]), "other classes or another source for v_"),
    ):
        assert said in "; ".join(check_official(forged))


@pytest.mark.parametrize("fold", [None, 4])
def test_a_dataset_of_the_lists_has_no_other_folds(fold: int | None) -> None:
    """As with videos of its own choice, and a board of their own."""
    honest = official_ledger()
    forged = Ledger(dataclasses.replace(honest.info, fold=fold, official_videos=len(honest)), honest.table)
    assert check_official(forged) == [f"of {EMBEDDED} there is no fold {fold}; its folds: 1, 2, 3"]


def test_invented_datasets_are_bound_by_nothing() -> None:
    assert check_official(make_ledger()) == []


def test_a_clip_that_is_moved_by_one_frame_is_noticed() -> None:
    ledger = make_ledger(clips=20, failed=0.1)
    assert impossible_clips(ledger) == []
    starts = ledger.table["clip_starts"].to_pylist()
    rows = [row for row, held in enumerate(starts) if held]
    noticed = 0
    for row in rows:
        moved = list(starts[row])
        moved[row % 20] += 1
        noticed += impossible_clips(changed(ledger, "clip_starts", row, moved)) == [ledger.video_ids[row]]
    assert noticed == len(rows)
