"""SyntheticActions as files and as an index; what its pictures show is measured in test_synthetic_scenes.py."""

import collections
import dataclasses
import json
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest

from benchmark.data.synthetic import SyntheticActions, read_synthetic_index
from benchmark.data.synthetic_files import generate, read_annotation
from benchmark.data.synthetic_plan import CLASSES, members, plan
from benchmark.errors import UserError

SMALL = 3
REPOSITORY = Path(__file__).resolve().parents[2]


CHILD = """
import pathlib, sys, types
# Without the package's own imports, which take seconds in each child and are not needed here.
package = types.ModuleType("benchmark.data")
package.__path__ = ["benchmark/data"]
sys.modules[package.__name__] = package
from benchmark.data.synthetic_files import require_videos
require_videos(pathlib.Path(sys.argv[1]), seed=0, source_groups=int(sys.argv[2]))
"""


def _start(root: Path, log: str) -> subprocess.Popen[bytes]:
    """A process that asks for the small set; what it says goes to a file."""
    with (root / log).open("wb") as stream:
        return subprocess.Popen([sys.executable, "-c", CHILD, root, str(SMALL)], cwd=REPOSITORY, stderr=stream)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set that three processes asked for at once, after a fourth was killed half-way."""
    root = tmp_path_factory.mktemp("cache")
    killed = _start(root, "killed.log")
    while len(list(root.glob("*.unfinished/videos/*.mp4"))) < 5 and killed.poll() is None:
        time.sleep(0.005)
    killed.kill()
    assert killed.wait() != 0
    assert [folder.name for folder in root.iterdir() if folder.is_dir()] == [
        f"SyntheticActions-v2-seed0-g{SMALL:02d}.unfinished"
    ]
    started = [_start(root, f"{n}.log") for n in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    return root


def test_one_of_several_processes_generates_after_a_killed_one(root: Path) -> None:
    assert "Generating SyntheticActions: 96 videos" in (root / "killed.log").read_text("utf-8")
    said = [(root / f"{n}.log").read_text("utf-8") for n in range(3)]
    assert sorted(text.count("Generating SyntheticActions: 96 videos") for text in said) == [0, 0, 1]
    folder = root / f"SyntheticActions-v2-seed0-g{SMALL:02d}"
    assert [path for path in root.iterdir() if path.is_dir()] == [folder]
    videos = read_annotation(folder)["videos"]
    assert sorted(video["file"] for video in videos) == sorted(
        path.relative_to(folder).as_posix() for path in (folder / "videos").iterdir()
    )
    assert len(videos) == 96


def test_every_file_is_whole_mpeg4(root: Path) -> None:
    for path in sorted(root.glob("*/videos/*.mp4")):
        with av.open(path) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "mpeg4"
            assert (stream.width, stream.height, stream.frames) == (320, 240, 50)
            assert stream.average_rate == Fraction(25)
            packets = [packet for packet in container.demux(stream) if packet.size]
            assert len(packets) == 50
            if path.name.split("_")[1] in members("motion"):
                assert all(packet.is_keyframe for packet in packets)


def test_same_seed_same_frames_and_another_seed_others(root: Path, tmp_path: Path) -> None:
    annotation = read_annotation(root / f"SyntheticActions-v2-seed0-g{SMALL:02d}")
    known = {video["video_id"]: video["frames_sha256"] for video in annotation["videos"]}
    sample = plan(0, SMALL)[::7]
    for name, seed in (("again", 0), ("other", 1)):
        generate(tmp_path / name, sample, seed=seed)
    again, other = (read_annotation(tmp_path / name)["videos"] for name in ("again", "other"))
    assert [video["frames_sha256"] for video in again] == [known[video.video_id] for video in sample]
    assert not {video["frames_sha256"] for video in other} & set(known.values())
    # Nothing that could tell videos apart is shared by accident: only a class and its reversal draw the same frames.
    assert len(set(known.values())) == len(known)


def test_the_fingerprint_covers_frames_and_annotation(tmp_path: Path) -> None:
    video = plan(0, SMALL)[0]
    prints = set()
    for name, changed, seed in (
        ("a", video, 0),
        ("b", video, 0),
        ("c", video, 1),
        ("d", dataclasses.replace(video, test_fold=2), 0),
    ):
        generate(tmp_path / name, (changed,), seed=seed)
        prints.add((name in "ab", read_annotation(tmp_path / name)["fingerprint"]))
    assert len(prints) == 3
    assert len({print for usual, print in prints if usual}) == 1


def test_folds_test_every_video_once_and_share_no_source_group(root: Path) -> None:
    tested: collections.Counter[str] = collections.Counter()
    for fold in (1, 2, 3):
        index = read_synthetic_index(root, fold, source_groups=SMALL)
        assert not index.missing()
        assert len(index.class_names) == 16
        table = index.table.to_pylist()
        sources = collections.defaultdict(set)
        for row in table:
            sources[row["split"]].add(row["source_group"].partition("/")[2])
            if row["split"] == "test":
                tested[row["video_id"]] += 1
        assert {split: len(names) for split, names in sources.items()} == {"train": 1, "validation": 1, "test": 1}
        assert len(set.union(*sources.values())) == SMALL
    assert len(tested) == 96
    assert set(tested.values()) == {1}


def test_the_usual_set_is_large_enough() -> None:
    videos = plan(0, 18)
    assert len(videos) == len({video.video_id for video in videos}) == 576
    for group in ("appearance", "motion", "detail", "context"):
        assert sum(CLASSES[video.classes[0]] == group for video in videos) == 144
        assert len(members(group)) == 4
    assert collections.Counter(video.test_fold for video in videos) == {1: 192, 2: 192, 3: 192}
    two = [video for video in videos if len(video.classes) > 1]
    assert 0.04 < len(two) / 576 < 0.06
    for video in two:
        assert len({CLASSES[name] for name in video.classes} - {"motion"}) == 2
    moving = collections.Counter(video.classes[0] for video in videos if video.camera_motion)
    assert set(moving.values()) == {7}
    assert len(moving) == 16


def test_the_annotation_says_it_all(root: Path) -> None:
    annotation = json.loads((root / f"SyntheticActions-v2-seed0-g{SMALL:02d}" / "annotation.json").read_text("utf-8"))
    by_id = {video["video_id"]: video for video in annotation["videos"]}
    expand = by_id["v_Expand_g03_c02"]
    assert {key: expand[key] for key in ("file", "labels", "group", "source_group", "test_fold")} == {
        "file": "videos/v_Expand_g03_c02.mp4",
        "labels": ["Expand"],
        "group": "motion",
        "source_group": "Expand/g03",
        "test_fold": 3,
    }
    assert any(video["camera_motion"] for video in by_id.values())
    assert any(len(video["labels"]) == 2 for video in by_id.values())
    assert [entry["name"] for entry in annotation["classes"]] == list(CLASSES)


def test_a_class_subset_renumbers_labels(root: Path) -> None:
    index = read_synthetic_index(root, classes=["Sink", "Rise"], source_groups=SMALL)
    assert index.class_names == ("Rise", "Sink")
    assert index.identity.classes == ("Rise", "Sink")
    assert index.groups() == {"motion": [0, 1]}
    assert len(index) == 4 * SMALL
    assert {(row["video_id"].split("_")[1], *row["labels"]) for row in index.table.to_pylist()} == {
        ("Rise", 0),
        ("Sink", 1),
    }


def test_sets_that_differ_are_not_comparable(root: Path) -> None:
    small = read_synthetic_index(root, source_groups=SMALL).identity
    assert small.dataset == "SyntheticActions-v2-seed0-g03"


def test_a_deleted_file_is_missing_and_a_damaged_annotation_is_named(tmp_path: Path) -> None:
    folder = tmp_path / f"SyntheticActions-v2-seed5-g{SMALL:02d}"
    generate(folder, plan(5, SMALL)[:4], seed=5)
    (folder / "videos/v_Discs_g01_c02.mp4").unlink()
    index = read_synthetic_index(tmp_path, source_groups=SMALL, generation_seed=5)
    assert index.missing() == ["v_Discs_g01_c02"]
    (folder / "annotation.json").write_text('{"name": "Synth', "utf-8")
    with pytest.raises(UserError, match=r"annotation\.json cannot be used .* Delete the folder"):
        read_synthetic_index(tmp_path, source_groups=SMALL, generation_seed=5)


def test_wrong_arguments_are_refused_before_anything_is_generated(tmp_path: Path) -> None:
    root = tmp_path / "nothing"
    with pytest.raises(UserError, match="fold is 4"):
        read_synthetic_index(root, 4)
    with pytest.raises(UserError, match="'Walk'"):
        read_synthetic_index(root, classes=["Walk"])
    with pytest.raises(UserError, match="source_groups is 2"):
        read_synthetic_index(root, source_groups=2)
    with pytest.raises(UserError, match="generation_seed is -1"):
        read_synthetic_index(root, generation_seed=-1)
    assert not root.exists()
    root.write_text("a file", "utf-8")
    with pytest.raises(UserError, match=r"cannot be generated in .*nothing.*data\.root"):
        read_synthetic_index(root, source_groups=SMALL)


def test_the_data_module_reads_its_fold(root: Path) -> None:
    data = SyntheticActions(root, fold=2, source_groups=SMALL)
    assert data.num_classes == 16
    assert data.index.identity.fold == 2
    assert data.groups["motion"] == [4, 5, 6, 7]


def test_nothing_is_generated_among_somebodys_own_videos(tmp_path: Path) -> None:
    (tmp_path / "jump").mkdir()
    (tmp_path / "jump/a.mp4").touch()
    with pytest.raises(UserError, match=r"holds videos \(jump/\).*for yours add --data folder"):
        read_synthetic_index(tmp_path, 1, source_groups=3)
    assert [path.name for path in tmp_path.iterdir()] == ["jump"]
