"""A small sample of each kind of attack; `python -m tests.campaign` makes them all."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.files import file_hash
from tests.campaign import boards, neighbours, runs, strangers, videos
from tests.campaign.attacks import Kind, Outcome, emptied
from tests.campaign.disks import DISKS
from tests.campaign.kinds import KINDS
from tests.campaign.mutations import MUTATIONS
from tests.campaign.readers import READERS
from tests.campaign.runs import KILLS, SIGNALS
from tests.generators.keys import needs_openssh

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")


def made(kind: Kind, prepared: Any, seeds: range, folder: Path) -> list[Outcome]:
    """What came of some attacks in this process; a fault is raised."""
    outcomes = []
    for seed in seeds:
        with emptied(folder) as scratch:
            outcomes.append(kind.attack(prepared, seed, scratch))
    return outcomes


def verdicts(outcomes: list[Outcome]) -> set[str]:
    return {outcome.verdict for outcome in outcomes}


def test_each_kind_has_a_name_of_its_own() -> None:
    assert len(KINDS) == 14
    assert all(kind.name == name for name, kind in KINDS.items())


def test_every_mutation_damages_a_file(tmp_path: Path) -> None:
    sources = videos.prepare(tmp_path)
    assert len(MUTATIONS) >= 15
    for name in MUTATIONS:
        if name != "wrong_ending":
            mutated = [
                MUTATIONS[name](np.random.default_rng(n), bytearray(s.content), s) for n, s in enumerate(sources)
            ]
            assert any(bytes(content) != source.content for content, source in zip(mutated, sources, strict=True)), name


def test_damaged_videos(tmp_path: Path) -> None:
    sources = videos.prepare(tmp_path)
    kind = videos.VIDEOS
    assert verdicts(made(kind, sources, range(2 * len(MUTATIONS)), tmp_path)) == {"survived", "refused"}


@pytest.mark.parametrize("seed", [4291, 6222, 7959])
def test_what_decoding_in_order_loses_after_an_error_is_read(seed: int, tmp_path: Path) -> None:
    """A sequence header of which FFmpeg refuses 12 packets, or none where it checks the bitstream; frames that wait."""
    (outcome,) = made(videos.VIDEOS, videos.prepare(tmp_path), range(seed, seed + 1), tmp_path)
    assert outcome.verdict == "survived"


def test_a_jpeg_without_its_tables_is_damaged(tmp_path: Path) -> None:
    """FFmpeg takes those of the picture before it, or gives back grey where it is the first, and says nothing."""
    made(videos.VIDEOS, videos.prepare(tmp_path), range(8704, 8705), tmp_path)  # one verdict, or a fault


@needs_openssh
@pytest.mark.extra("plotly")
def test_tampered_boards(tmp_path: Path) -> None:
    prepared = boards.prepare(tmp_path / "made")
    changes = len(prepared[1])
    assert changes >= 150
    for begin in (0, changes):  # as they are, and built again
        assert "refused" in verdicts(
            made(boards.BOARDS, prepared, range(begin, begin + changes, changes // 12), tmp_path)
        )


def test_hostile_names_and_archives(tmp_path: Path) -> None:
    video = strangers.prepare_video(tmp_path)
    assert "survived" in verdicts(made(strangers.NAMES, video, range(12), tmp_path))
    assert verdicts(made(strangers.ARCHIVES, video, range(30), tmp_path)) == {"survived", "refused"}


def test_damaged_files(tmp_path: Path) -> None:
    assert verdicts(made(strangers.FILES, None, range(8 * len(READERS)), tmp_path)) == {"survived", "refused"}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> runs.Ground:
    folder = tmp_path_factory.mktemp("ground")
    for each in (*folder.parents[:2], folder):
        each.chmod(0o755)  # other users look into it
    return runs.prepare(folder)


@pytest.mark.parametrize(
    ("kind", "seeds"),
    [
        *((KILLS, range(1)), (SIGNALS, range(1)), (DISKS, range(1, 8, 3)), (neighbours.TWO_RUNS, range(1))),
        *((neighbours.TWO_USERS, range(1)), (neighbours.LOST_RANKS, range(1)), (strangers.CHECKPOINTS, range(1, 5))),
        (strangers.CONFIGURATIONS, range(3)),
    ],
    ids=lambda value: value.name if isinstance(value, Kind) else "",
)
def test_runs_that_are_disturbed(kind: Kind, seeds: range, ground: runs.Ground, tmp_path: Path) -> None:
    for each in (*tmp_path.parents[:2], tmp_path):
        each.chmod(0o755)
    before = file_hash(ground.run / "ledger.parquet")
    assert len(made(kind, ground, seeds, tmp_path)) == len(seeds)
    assert file_hash(ground.run / "ledger.parquet") == before


def test_two_processes_whose_folders_differ_both_say_so(ground: runs.Ground, tmp_path: Path) -> None:
    roots = [tmp_path / "0/data", tmp_path / "1/data"]
    for root in roots:
        for number in range(6):
            path = root / ("AB"[number % 2]) / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(next(ground.data.rglob("*.mp4")), path)
    for number in (2, 5):
        (roots[1] / "AB"[number % 2] / f"{number}.mp4").unlink()
    words = ["fit", "--model", "SingleFrame", "--model.width", "0.05", "--data", "VideoFolder", "--trainer.accelerator"]
    words += ["cpu", "--run_dir", str(tmp_path / "run"), "--trainer.logger", "false", "--data.num_workers", "0"]
    pair = neighbours.pair_of(words, tmp_path, "log", *(["--data.root", str(root)] for root in roots))
    for ended in [each.wait(110) for each in pair]:
        assert ended.code == 2, ended.said
        assert "process 1 lacks 2 videos that process 0 holds (A/2.mp4, B/5.mp4)" in ended.said
        assert "Traceback" not in ended.said
