"""Everything that reads a file of somebody else's, by name, with sound files to begin from.

A reader gives back what the file says, or raises `UserError`. What it gives back can be worked with: each is used here
as the package uses it.
"""

import dataclasses
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from benchmark.data import sports1m_lists, ucf101
from benchmark.data.annotations import read_annotations
from benchmark.data.lists import read_lines
from benchmark.leaderboard.claims import read_claims
from benchmark.leaderboard.entries import check_record, entry_folder
from benchmark.leaderboard.reproductions import Reproduction
from benchmark.leaderboard.same_tests import content_hash
from benchmark.leaderboard.statements import read_statement
from benchmark.results.ledger import _METADATA, Ledger
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import Record
from benchmark.results.summary import summarise
from benchmark.shipped import configuration_file, shipped_folder
from tests.generators.ledgers import make_ledger, make_record

CLASSES = 487


@dataclasses.dataclass(frozen=True)
class Reader:
    """One kind of file.

    Args:
        file: Its name in the folder that holds it.
        sound: Makes files of it that are as they should be.
        use: Reads the file and does with it what the package does.
    """

    file: str
    sound: Callable[[], list[bytes]]
    use: Callable[[Path], object]


def use_ledger(path: Path) -> None:
    """Work out of a ledger whatever is ever worked out of one."""
    ledger = Ledger.read(path)
    summarise(ledger, map_intervals=False)
    content_hash(ledger)
    json.dumps(ledger.failures())
    check_record(make_record(make_ledger(videos=2, clips=1)), ledger, "0" * 64)


def _use_record(path: Path) -> None:
    record = Record.read(path)
    entry_folder(record)
    hash(record.board)
    json.dumps(record.model_dump(mode="json"), allow_nan=False).encode()
    check_record(record, make_ledger(videos=2, clips=1), "0" * 64)


def _use_ucf101(path: Path) -> None:
    for video in ucf101.read_list(path):
        assert video.source_group.startswith(f"{video.class_name}/g")
        assert video.class_name in ucf101.read_classes()


def _use_sports1m(path: Path) -> None:
    table = sports1m_lists.read_list(path, CLASSES)
    assert len(sports1m_lists.id_hashes(table["video_id"].combine_chunks(), 0)) == len(table)
    numbers = table["labels"].combine_chunks().flatten().to_pylist()
    assert all(0 <= number < CLASSES for number in numbers)


def _use_annotations(path: Path) -> None:
    for video in read_annotations(path):
        assert video.labels or video.split == "predict"
        "".join((video.path, *video.labels)).encode()


def sound_ledgers() -> list[bytes]:
    """Small ledgers with what ledgers may have."""
    made = (
        make_ledger(videos=3, classes=2, clips=1, failed=0.3),
        make_ledger(videos=4, classes=3, clips=2, groups=0, videos_per_source=0, chosen=("A", "B", "C")),
        make_ledger(videos=2, classes=101, clips=1, dataset="UCF-101"),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / LEDGER_NAME
        return [path.read_bytes() for ledger in made if ledger.write(path)]


def ledger_with(info: bytes | str, table: pa.Table | None = None) -> bytes:
    """A ledger's file with these metadata, and rows of a sound one or others."""
    held = make_ledger(videos=3, classes=2, clips=1).table if table is None else table
    sink = io.BytesIO()
    parquet.write_table(held.replace_schema_metadata({_METADATA: info}), sink)
    return sink.getvalue()


def _records() -> list[bytes]:
    made = [make_ledger(videos=3, classes=2, clips=1), make_ledger(videos=3, classes=2, clips=1, failed=1.0)]
    return [json.dumps(make_record(ledger).model_dump(mode="json")).encode() for ledger in made]


def _reproductions() -> list[bytes]:
    facts = {"ledger_sha256": "0" * 64, "checkpoint_sha256": "1" * 64, "videos": 3, "seed": 1}
    more = {"largest_difference": 0.0, "allowed_difference": 0.01, "created": "2026-01-02T03:04:05Z", "code": "0.1.0"}
    return [json.dumps({**facts, **more}).encode()]


def _tables() -> list[bytes]:
    sink = io.BytesIO()
    table = pa.table({"path": ["a.mp4", "b.mp4"], "labels": [["A"], ["A", "B"]], "split": ["train", "test"]})
    parquet.write_table(table, sink)
    return [sink.getvalue()]


def _use_claims(path: Path) -> None:
    read_claims(path.parent.parent)


def _paper() -> list[bytes]:
    return [path.read_bytes() for path in sorted((shipped_folder("leaderboards") / "paper").glob("*.json"))]


def _configurations() -> list[bytes]:
    folder = Path(__file__).resolve().parents[2] / "conf"
    return [path.read_bytes() for path in sorted(folder.glob("*.yaml"))[:4]]


READERS = {
    "UCF-101 list": Reader(
        "trainlist01.txt",
        lambda: [b"Archery/v_Archery_g01_c01.avi 3\r\nHandstandPushups/v_HandStandPushups_g01_c02.avi 37\r\n"],
        _use_ucf101,
    ),
    "Sports-1M list": Reader(
        "train_partition.txt",
        lambda: [b"https://www.youtube.com/watch?v=abcdefghij1 3,486\n\nabcdefghij2 0\n"],
        _use_sports1m,
    ),
    "class names": Reader(
        "labels.txt", lambda: [b"archery\nbowling\n"], lambda path: sports1m_lists.read_class_names(path.parent)
    ),
    "lines": Reader("lines.txt", lambda: ["\ufeffa\r\né\n".encode()], read_lines),
    "table in CSV": Reader(
        "annotations.csv",
        lambda: [
            b"path,labels,split,source_group\na/1.mp4,A|B,train,s1\nb.mp4,B,test,\nc.mp4,,predict,\n",
            b"path,label\n1.mp4,7\n",
        ],
        _use_annotations,
    ),
    "table in Parquet": Reader("annotations.parquet", _tables, _use_annotations),
    "record": Reader(RECORD_NAME, _records, _use_record),
    "ledger": Reader(LEDGER_NAME, sound_ledgers, use_ledger),
    "reproduction": Reader(
        Reproduction.file_name, _reproductions, lambda path: read_statement(path.parent, Reproduction)
    ),
    "claims": Reader("paper/table.json", _paper, _use_claims),
    "configuration": Reader("own.yaml", _configurations, lambda path: configuration_file(str(path))),
}
