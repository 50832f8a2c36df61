"""Lists that hypothesis writes are read back as they were meant, or refused with their line."""

import csv
import io
from pathlib import Path

import pytest

from benchmark.data import sports1m_lists, ucf101
from benchmark.data.annotations import read_annotations
from tests.generators.refusals import tried

pytest.importorskip("hypothesis", reason="needs hypothesis, of the extra test")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FAST = settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CLASSES = tuple(ucf101.read_classes())
ENDS = st.sampled_from(["\n", "\r\n"])
SPACES = st.sampled_from(["", " ", "\t"])


@FAST
@given(
    videos=st.lists(
        st.tuples(st.integers(0, 100), st.integers(0, 99), st.integers(0, 99), st.booleans()),
        unique_by=lambda video: video[:3],
        max_size=12,
    ),
    end=ENDS,
    bom=st.booleans(),
    blank=SPACES,
)
def test_official_lists_of_ucf101(
    videos: list[tuple[int, int, int, bool]], end: str, bom: bool, blank: str, tmp_path: Path
) -> None:
    lines, meant = [], []
    for number, group, clip, numbered in videos:
        name = CLASSES[number]
        stem = f"v_{name}_g{group:02d}_c{clip:02d}"
        lines += [f"{name}/{stem}.avi{f' {number + 1}' if numbered else ''}{blank}", blank]
        meant.append(ucf101.ListedVideo(stem, name, f"{name}/g{group:02d}"))
    path = tmp_path / "trainlist01.txt"
    path.write_bytes((("\ufeff" if bom else "") + end.join(lines)).encode())
    assert ucf101.read_list(path) == meant


@FAST
@given(listed=st.text(st.sampled_from("Archery/v_g01c.avi 3\t\r\n\x00\u2028é"), max_size=80))
def test_any_text_as_a_list_of_ucf101(listed: str, tmp_path: Path) -> None:
    path = tmp_path / "trainlist01.txt"
    path.write_text(listed, "utf-8", newline="")
    found, refusal = tried(ucf101.read_list, path)
    if found is None:
        assert "trainlist01.txt" in refusal
    else:
        assert len(found) == sum(bool(line.strip()) for line in listed.splitlines())


LABELS = st.lists(st.integers(0, 486), min_size=1, max_size=4)
IDS = st.text(st.sampled_from("abzABZ019_-"), min_size=11, max_size=11)


@FAST
@given(
    rows=st.lists(
        st.tuples(IDS, st.lists(st.integers(0, 486), min_size=1, max_size=4), st.integers(0, 3)),
        min_size=1,
        max_size=20,
    ),
    end=ENDS,
)
def test_official_lists_of_sports1m(rows: list[tuple[str, list[int], int]], end: str, tmp_path: Path) -> None:
    heads = ("", "https://www.youtube.com/watch?v=", "http://youtube.com/watch?v=", "https://youtu.be/")
    path = tmp_path / "train_partition.txt"
    lines = [f"{heads[head]}{video} {','.join(map(str, labels))}" for video, labels, head in rows]
    path.write_bytes(end.join([*lines, ""]).encode())
    table = sports1m_lists.read_list(path, 487)
    assert table["video_id"].to_pylist() == [video for video, _, _ in rows]
    assert table["labels"].to_pylist() == [labels for _, labels, _ in rows]
    hashes = sports1m_lists.id_hashes(table["video_id"].combine_chunks(), 7)
    assert [*hashes[::-1]] == [*sports1m_lists.id_hashes(table["video_id"].combine_chunks()[::-1], 7)]


@FAST
@given(
    video=st.text(st.sampled_from("ab_-/?=.:é \t"), max_size=14),
    labels=st.text(st.sampled_from("0123456789,-+. e\t\x00"), max_size=8),
)
def test_any_line_as_one_of_sports1m(video: str, labels: str, tmp_path: Path) -> None:
    path = tmp_path / "train_partition.txt"
    path.write_bytes(f"{video} {labels}\nabcdefghijk 3\n".encode())
    table, refusal = tried(lambda file: sports1m_lists.read_list(file, 487), path)
    if table is None:
        assert "line 1 of" in refusal
    else:
        assert len(table) == (2 if f"{video} {labels}".strip() else 1)
        assert all(0 <= label < 487 for label in table["labels"].combine_chunks().flatten().to_pylist())


NAMES = st.text(st.sampled_from("abé融 ,\"'=-|\n"), min_size=1, max_size=6)
CELLS = st.tuples(
    st.text(st.sampled_from("abcé 0-_"), min_size=1, max_size=8),
    st.lists(st.sampled_from(["clap", "run", "sit, down", 'say "hi"', "été"]), min_size=1, max_size=3, unique=True),
    st.sampled_from(["train", "validation", "test"]),
)


@FAST
@given(rows=st.lists(CELLS, min_size=1, max_size=10, unique_by=lambda row: row[0].strip()))
def test_tables_of_ones_own(rows: list[tuple[str, list[str], str]], tmp_path: Path) -> None:
    rows = [row for row in rows if row[0].strip()]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["path", "labels", "split"])
    writer.writerows((f"x{path.strip()}.mp4", "|".join(labels), split) for path, labels, split in rows)
    path = tmp_path / "annotations.csv"
    path.write_text(text.getvalue(), "utf-8", newline="")
    found = read_annotations(path)
    assert [(video.path, [*video.labels], video.split) for video in found] == [
        (f"x{name.strip()}.mp4", labels, split) for name, labels, split in rows
    ]


@FAST
@given(cells=st.lists(st.lists(NAMES, min_size=2, max_size=3), max_size=4))
def test_any_cells_of_ones_own_table(cells: list[list[str]], tmp_path: Path) -> None:
    path = tmp_path / "annotations.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["path", "label"], *cells])
    found, refusal = tried(read_annotations, path)
    if found is None:
        assert "annotations.csv" in refusal
    else:
        assert len({video.path for video in found}) == len(found)
        assert all(label.isprintable() and label.strip() == label for video in found for label in video.labels)
