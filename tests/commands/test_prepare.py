import os
from pathlib import Path

import pytest

from benchmark.commands.prepare import main, sports1m, ucf101
from benchmark.errors import UserError
from tests.commands.test_archive import write_zip
from tests.generators.ucf101_lists import write_lists
from tests.generators.videos import touch, write_video

TRAIN = {"Archery": ["g01_c01", "g02_c01"], "YoYo": ["g05_c01", "g05_c02"]}
TEST = {"Archery": ["g08_c01"], "YoYo": ["g10_c01"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """All of Archery and one video of YoYo."""
    write_lists(tmp_path / "ucfTrainTestlist", TRAIN, TEST)
    for clip in ("g01_c01", "g02_c01", "g08_c01"):
        write_video(tmp_path / "videos" / "Archery" / f"v_Archery_{clip}.avi")
    write_video(tmp_path / "videos" / "YoYo" / "v_YoYo_g05_c01.avi")
    return tmp_path / "videos"


def test_a_partial_copy_is_usable_and_what_lacks_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ucf101(root) == 0
    printed = capsys.readouterr().out
    assert "4 videos (3 train, 1 test) of 101 classes; 2 missing; 66.7% of the official 6 videos held" in printed
    assert "complete: 1 class: Archery" in printed
    assert "--data.classes=[Archery]" in printed
    assert "YoYo lacks 2 of 3: v_YoYo_g05_c02, v_YoYo_g10_c01\n" in printed
    assert "broken: 0 videos" in printed
    for fold in (1, 2, 3):
        assert f"fold {fold}: 3 usable videos for training and validation, 1 for testing" in printed


def test_broken_videos_are_named_and_not_counted_as_usable(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "Archery" / "v_Archery_g02_c01.avi").write_bytes(b"")
    (root / "YoYo" / "v_YoYo_g05_c01.avi").write_text("no video at all\n", "utf-8")
    assert ucf101(root) == 0
    printed = capsys.readouterr().out
    assert "broken: 2 videos" in printed
    assert "  v_Archery_g02_c01: " in printed
    assert "  v_YoYo_g05_c01: " in printed
    assert "fold 1: 1 usable videos for training and validation, 1 for testing" in printed


def test_nothing_usable_is_exit_code_1(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "Archery" / "v_Archery_g08_c01.avi").write_bytes(b"")
    assert ucf101(root) == 1
    assert "no fold has videos for both" in capsys.readouterr().out
    empty = root.parent / "empty"
    empty.mkdir()
    assert ucf101(empty) == 1
    assert "Pass the folder" in capsys.readouterr().out
    assert ucf101(root, lists=empty) == 1
    assert "--lists" in capsys.readouterr().out


def test_archives_of_lists_and_videos_become_a_usable_folder(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = {f"ucfTrainTestlist/{file.name}": file.read_bytes() for file in (tmp_path / "ucfTrainTestlist").iterdir()}
    videos = {f"UCF-101/{file.relative_to(root)}": file.read_bytes() for file in root.rglob("*.avi")}
    archives = [write_zip(tmp_path / "lists.zip", lists), write_zip(tmp_path / "videos.zip", videos)]
    fresh = tmp_path / "somewhere" / "fresh"
    assert main(["ucf101", "--root", str(fresh), "--archives", *map(str, archives)]) == 0
    assert (fresh / "UCF-101" / "YoYo" / "v_YoYo_g05_c01.avi").read_bytes() == videos["UCF-101/YoYo/v_YoYo_g05_c01.avi"]
    assert "4 videos (3 train, 1 test)" in capsys.readouterr().out


def test_download_takes_only_what_lacks_and_says_where_it_failed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[str] = []

    def fetch(url: str, into: Path) -> Path:
        wanted.append(url.rpartition("/")[2])
        contents = {f"ucfTrainTestlist/{f.name}": f.read_bytes() for f in (tmp_path / "ucfTrainTestlist").iterdir()}
        return write_zip(into / "lists.zip", contents)

    monkeypatch.setattr("benchmark.commands.prepare.fetch", fetch)
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(UserError, match=r"UCF101\.rar is a RAR archive.*Install one"):
        ucf101(root, download=True)
    assert wanted == []  # the lists are there, and the videos could not be unpacked
    fresh = tmp_path / "deep" / "fresh"
    with pytest.raises(UserError, match="Install one"):
        ucf101(fresh, download=True)
    assert wanted == ["UCF101TrainTestSplits-RecognitionTask.zip"]
    assert (fresh / "ucfTrainTestlist" / "trainlist01.txt").is_file()
    for name, clip in (("YoYo", "g05_c02"), ("YoYo", "g10_c01")):
        touch(root / name / f"v_{name}_{clip}.avi")
    assert ucf101(root, download=True) == 0  # complete, so nothing is fetched
    assert len(wanted) == 1


def test_sports1m_says_shares_missing_and_usable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels.txt").write_text("boomerang\nboxing\n", "utf-8")
    names = [f"video{number:06d}" for number in range(50)]
    (tmp_path / "train_partition.txt").write_text(
        "".join(f"{name} {name[-1] > '4':d}\n" for name in names[:40]), "utf-8"
    )
    (tmp_path / "test_partition.txt").write_text("".join(f"{name} 0,1\n" for name in names[40:]), "utf-8")
    assert sports1m(tmp_path) == 1
    assert "not videos for both" in capsys.readouterr().out
    for name in (*names[:20], names[45]):
        write_video(tmp_path / "vi" / f"{name}.mp4", frames=1)
    assert main(["sports1m", "--root", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "10 test (20.0%)" in printed
    assert "10 videos (20.00%) have several labels" in printed
    assert "29 missing; 42.0% of the official 50 videos held" in printed
    assert "boomerang lacks 19 of 30: " in printed
    assert "test: 1 usable videos" in printed
    assert sports1m(tmp_path / "absent", lists=tmp_path) == 1


def test_only_options_are_written_as_this_verbs_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.csv").mkdir()
    assert main(["ucf101", "--root", str(tmp_path / "data.csv")]) == 1
    said = "".join(capsys.readouterr())
    assert str(tmp_path / "data.csv") in said
    assert "--csv" not in said


def test_the_command_line_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["ucf101", "--help"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert all(option in printed for option in ("--root", "--lists", "--archives FILE [FILE ...]", "--download"))
    with pytest.raises(UserError, match="prepare nothing is not there; it must be one of ucf101"):
        main(["nothing"])
