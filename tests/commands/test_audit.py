import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmark.cli import main
from tests.generators.scenes import scene, write_frames, write_scene


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two classes; one file twice, one encoded again and mirrored in the other class, and one that cannot be read."""
    root = tmp_path / "videos"
    for number in range(4):
        write_scene(root / "train/Run" / f"{number}.avi", number)
        write_scene(root / "test/Jump" / f"{number}.avi", 50 + number)
    shutil.copy(root / "train/Run/1.avi", root / "train/Run/copy.avi")
    write_frames(root / "test/Jump/again.avi", scene(2)[:, :, ::-1], options={"qscale": "6"})
    (root / "test/Jump/broken.avi").write_bytes(b"no video")
    return root


def test_pairs_are_listed_in_a_table_on_the_screen_and_as_pictures(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, pictures = tmp_path / "pairs.csv", tmp_path / "pictures"
    command = ["audit", "--data", "VideoFolder", "--data.root", str(videos), "--output", str(table)]
    assert main([*command, "--pictures", str(pictures)]) == 0
    with table.open(newline="", encoding="utf-8") as lines:
        rows = {frozenset((row["first"], row["second"])): row for row in csv.DictReader(lines)}
    same = rows[frozenset({"train/Run/1.avi", "train/Run/copy.avi"})]
    alike = rows[frozenset({"train/Run/2.avi", "test/Jump/again.avi"})]
    assert len(rows) == 2
    assert (same["kind"], same["difference"]) == ("same file", "0.000")
    assert alike["kind"] == "looks the same"
    assert {alike["first_split"], alike["second_split"]} == {"train", "test"}
    assert {alike["first_labels"], alike["second_labels"]} == {"Run", "Jump"}
    said = capsys.readouterr().out
    assert "compared 11 of 11 videos by their bytes and 10 by three frames" in said
    assert "2 pairs show the same, 1 of them the same file; 1 are on two sides of the split" in said
    assert "1 have other labels" in said
    shapes = [np.asarray(cv2.imread(str(file))).shape for file in sorted(pictures.iterdir())]
    assert shapes == [(2 * (24 + 112), 5 * 112, 3)] * 2


def test_a_configuration_is_read_for_its_data_alone(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(
        f"model: MultiresOfNobody\ntrainer: {{max_epochs: 3}}\n"
        f"data: {{class_path: VideoFolder, init_args: {{root: {videos}, name: mine}}}}\n",
        "utf-8",
    )
    assert main(["audit", "--config", str(config), "--output", str(tmp_path / "pairs.csv")]) == 0
    assert "mine: 11 videos" in capsys.readouterr().out


def test_a_missing_folder_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["audit", "--data", "VideoFolder", "--data.root", str(tmp_path / "absent")]
    assert main([*command, "--output", str(tmp_path / "pairs.csv")]) == 2
    assert "which is not a folder" in capsys.readouterr().err
