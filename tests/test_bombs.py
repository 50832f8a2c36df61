"""Small files that grow large are refused before they take memory."""

import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from benchmark.commands.archive import unpack
from benchmark.data.decode import DecodeError, open_video
from benchmark.errors import UserError
from benchmark.leaderboard.entries import add_entry, check_entries
from benchmark.results.ledger import _METADATA, SCHEMA, Ledger
from benchmark.results.record import Record
from benchmark.shipped import configuration_file, with_files
from benchmark.yaml_text import read_yaml
from tests.generators.encoded import encode
from tests.generators.ledgers import make_ledger, write_run

BOMB = (
    "[&a [x, x, x], "
    + ", ".join(f"&{n} [{', '.join([f'*{m}'] * 9)}]" for m, n in zip("abcdef", "bcdefg", strict=True))
    + "]"
)


def test_a_ledger_of_equal_numbers(tmp_path: Path) -> None:
    made = make_ledger(videos=100, classes=100, failed=0)
    schema = SCHEMA.with_metadata({_METADATA: made.info.to_json()})
    rows, path = 10_000, tmp_path / "ledger.parquet"
    one = made.table.slice(0, 1)
    group = pa.table(
        [column.combine_chunks().take(pa.array(np.zeros(rows, np.int64))) for column in one.columns], schema=schema
    )
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for _ in range(60):
            writer.write_table(group)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(UserError, match="MB in memory; allowed are"):
        Ledger.read(path)


def test_a_ledger_of_long_texts(tmp_path: Path) -> None:
    made = make_ledger(videos=2, failed=0)
    path, schema = tmp_path / "ledger.parquet", SCHEMA.with_metadata({_METADATA: made.info.to_json()})
    field = SCHEMA.field("video_id")
    long = made.table.slice(0, 1).set_column(0, field, pa.array(["a" * 10**6], field.type)).cast(schema)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for _ in range(400):
            writer.write_table(long)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(UserError, match="MB in memory; allowed are"):
        Ledger.read(path)


def test_a_large_record(tmp_path: Path) -> None:
    with (tmp_path / "record.json").open("wb") as file:
        file.truncate(200_000_000)
    with pytest.raises(UserError, match="cannot be read"):
        Record.read(tmp_path)


def test_aliases_of_aliases(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    bomb = tmp_path / "bomb.yaml"
    bomb.write_text("\n".join(lines), "utf-8")
    assert bomb.stat().st_size < 500
    with pytest.raises(UserError, match="values once its aliases are written out"):
        configuration_file(str(bomb))


def test_a_text_that_contains_itself_is_no_endless_loop() -> None:
    read_yaml("a: &a [1, *a]", "--config x")
    with pytest.raises(UserError, match="nested too deeply"):
        read_yaml("[" * 5000 + "]" * 5000, "--config x")


def test_usual_aliases_are_fine() -> None:
    read_yaml("a: &a {x: 1, y: [1, 2]}\nb: *a\nc:\n  <<: *a\n  z: 3\n", "--config x")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("name", ["a.avi", "notes.bin"])
def test_an_archive_of_zeros(tmp_path: Path, kind: str, name: str) -> None:
    zeros, path = bytes(150_000_000), tmp_path / f"bomb.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, zeros)
    else:
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            member = tarfile.TarInfo(name)
            member.size = len(zeros)
            archive.addfile(member, io.BytesIO(zeros))
    assert path.stat().st_size < 1_000_000
    if name == "a.avi":
        with pytest.raises(UserError, match="more than videos do"):
            unpack(path, tmp_path / "into", suffixes=(".avi",))
    else:  # not asked for, so never written
        assert unpack(path, tmp_path / "into", suffixes=(".avi",)) == 0
    assert list((tmp_path / "into").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
@pytest.mark.parametrize("name", ["record.json", "reproduction.json", "reproduction.json.sig", "ledger.parquet"])
def test_a_pipe_that_nobody_writes_to_is_no_file(tmp_path: Path, name: str) -> None:
    write_run(tmp_path / "run", make_ledger())
    root = tmp_path / "leaderboards"
    entry = add_entry(tmp_path / "run", root)
    (entry / name).unlink(missing_ok=True)
    os.mkfifo(entry / name)
    _, problems, _ = check_entries(root)
    assert problems


def test_a_picture_that_is_larger_than_any(tmp_path: Path) -> None:
    path = encode(tmp_path / "video.gif", codec="gif", pixels="rgb8", frames=3)
    content = bytearray(path.read_bytes())
    content[6:10] = struct.pack("<HH", 65535, 65535)
    path.write_bytes(content)
    with pytest.raises(DecodeError), open_video(path) as video:
        list(video.read([0]))


@pytest.mark.parametrize(
    "words", [["--data.test_views", BOMB], [f"--data.test_views={BOMB}"], ["--data.x", "[" * 5000]]
)
def test_a_value_that_grows(words: list[str]) -> None:
    with pytest.raises(UserError, match=r"aliases are written out|nested too deeply"):
        with_files(["fit", "--config", "multires", *words])
