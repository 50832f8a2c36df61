"""Entries that cheat, each caught by an audit; what an audit cannot find is here too.

`tests/audits/test_forged_files.py` has those that `leaderboard verify` catches without a video.
"""

import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from benchmark.commands import entry_audit
from benchmark.data.spread_frames import spread_frames
from benchmark.errors import UserError
from benchmark.results.ledger import Ledger
from benchmark.results.record import LedgerFile, Record, dataset_of
from benchmark.results.summary import summarise
from tests.generators.audits import entered, problems, rewritten
from tests.generators.cheats import VIDEOS, look

MODULE = "tests.generators.cheats."

RUNNING = {
    "ById": {"scores"},
    "ByName": {"scores"},
    "BySize": {"scores"},
    "ByTime": {"scores"},
    "ByBytes": {"scores"},
    "ByOrder": {"scores"},
    "ByLabels": {"scores"},
    "ByDuration": {"changed copies"},
    "ByStarts": {"changed copies"},
    "ByPixels": {"changed copies"},
    "ByOnePixel": {"changed copies"},
    "OfItsBatch": {"scores", "batches"},
    "OfItsPast": {"scores", "batches"},
    "OfChance": {"scores", "batches", "clips' ranks"},
    "Remembering": {"repeats"},
    "Halved": {"precision"},
}
"""What the audit of each has to find."""


@pytest.mark.parametrize("name", RUNNING)
def test_a_network_that_cheats_is_caught(
    name: str,
    as_cheat: Callable[[str], str],
    tested_as: Callable[..., Path],
    tinted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoint = as_cheat(name)
    folder = entered(tested_as(MODULE + name, checkpoint), tmp_path / "boards")
    if name.startswith("By"):
        assert Record.read(folder).metrics["video_hit1"].value == 1
    assert RUNNING[name] <= problems(monkeypatch, folder, checkpoint, tinted).keys()


def test_what_an_audit_cannot_find(
    as_cheat: Callable[[str], str],
    tested_as: Callable[..., Path],
    tinted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who knows test videos by their look knows their copies, as who was trained on them does; the docs say so."""

    def learn(held: dict[str, Any]) -> None:
        looks, answers = np.zeros((VIDEOS, 192), np.float32), []
        for row, path in enumerate(sorted((tinted / "test").rglob("*.mp4"))):
            looks[row] = first_look(path)
            answers.append(("blue", "green", "red").index(path.parent.name))
        held["architecture"]["class"] = "ByLook"
        held["state_dict"] |= {
            "keys": torch.zeros(VIDEOS, dtype=torch.int64),
            "answers": torch.tensor(answers),
            "looks": torch.from_numpy(looks),
        }

    checkpoint = rewritten(as_cheat("Tint"), tmp_path / "look.ckpt", learn)
    folder = entered(tested_as(MODULE + "ByLook", checkpoint), tmp_path / "boards")
    assert Record.read(folder).metrics["video_hit1"].value == 1
    assert problems(monkeypatch, folder, checkpoint, tinted) == {}


def first_look(path: Path) -> np.ndarray:
    """Of a frame in the middle."""
    frames = spread_frames(path, (0.5,), 200)
    assert frames is not None
    return look(torch.from_numpy(frames)).numpy()


def test_a_network_that_asks_another_machine_is_caught(
    honest: str, tested_as: Callable[..., Path], tinted: Path, tmp_path: Path
) -> None:
    """In a process of its own, as a user runs it; the answers come from this one."""
    asked = []

    def answer(server: socket.socket) -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            with line:
                asked.append(1)
                line.sendall(b"1")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()

        def call(held: dict[str, Any]) -> None:
            held["architecture"]["class"] = "Calling"
            held["state_dict"] |= {"port": torch.tensor(server.getsockname()[1])}

        checkpoint = rewritten(honest, tmp_path / "calling.ckpt", call)
        folder = entered(tested_as(MODULE + "Calling", checkpoint), tmp_path / "boards")
        before = len(asked)
        audit = entry_audit.EntryAudit(folder, Path(checkpoint), tinted, None, True, 0.01)
        found, findings = audit.run(8, 2)
    assert before
    assert len(asked) == before
    assert found is not None
    assert "scores" in {each.about for each in findings if each.outcome == "problem"}


Change = Callable[[Record, Ledger], tuple[Record, Ledger]]


def with_scores(record: Record, ledger: Ledger, scores: np.ndarray) -> tuple[Record, Ledger]:
    column = pa.array(scores.astype(np.float32).tolist(), pa.list_(pa.float32()))
    place = ledger.table.schema.get_field_index("scores")
    table = ledger.table.set_column(place, ledger.table.schema.field(place), column)
    return record, Ledger(ledger.info, table)


def made_up(record: Record, ledger: Ledger) -> tuple[Record, Ledger]:
    return with_scores(record, ledger, np.where(ledger.labels, 0.8, 0.1))


def noised(record: Record, ledger: Ledger) -> tuple[Record, Ledger]:
    noise = np.random.default_rng(0).uniform(0, 0.1, ledger.scores.shape)
    return with_scores(record, ledger, (ledger.scores + noise) / (ledger.scores + noise).sum(1, keepdims=True))


def improved_clips(record: Record, ledger: Ledger) -> tuple[Record, Ledger]:
    place = ledger.table.schema.get_field_index("clip_ranks")
    column = pa.array([[1, 1]] * len(ledger), pa.list_(pa.int32()))
    return record, Ledger(ledger.info, ledger.table.set_column(place, ledger.table.schema.field(place), column))


def chosen_clips(record: Record, ledger: Ledger) -> tuple[Record, Ledger]:
    place = ledger.table.schema.get_field_index("clip_starts")
    column = pa.array([[0, 1]] * len(ledger), pa.list_(pa.int32()))
    return record, Ledger(ledger.info, ledger.table.set_column(place, ledger.table.schema.field(place), column))


def fitting_labels(record: Record, ledger: Ledger) -> tuple[Record, Ledger]:
    place = ledger.table.schema.get_field_index("labels")
    column = pa.array([[int(row.argmax())] for row in ledger.scores], pa.list_(pa.int32()))
    return record, Ledger(ledger.info, ledger.table.set_column(place, ledger.table.schema.field(place), column))


def smaller_network(record: Record, ledger: Ledger) -> tuple[Record, Ledger]:
    return record.model_copy(update={"model": record.model.model_copy(update={"parameters": 3})}), ledger


def faster(record: Record, ledger: Ledger) -> tuple[Record, Ledger]:
    speeds = {"compute_clips_per_second": 1e9, "clips_per_second": 1e9}
    return record.model_copy(update={"throughput": record.throughput.model_copy(update=speeds)}), ledger


EDITED: dict[str, tuple[Change, str]] = {
    "made up": (made_up, "scores"),
    "noised": (noised, "scores"),
    "clips improved": (improved_clips, "clips' ranks"),
    "clips chosen": (chosen_clips, "clips"),
    "labels": (fitting_labels, "labels"),
    "smaller network": (smaller_network, "the network"),
    "faster": (faster, "speed"),
}


@pytest.mark.parametrize("name", EDITED)
def test_an_edited_entry_is_caught(
    name: str,
    honest: str,
    tested_as: Callable[..., Path],
    tinted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Record and ledger agree with each other and with all hashes."""
    change, finding = EDITED[name]
    run = Path(shutil.copytree(tested_as(MODULE + "ZeroTint", as_zero(honest, tmp_path)), tmp_path / "run"))
    record, ledger = change(Record.read(run), Ledger.read(run))
    (run / "clips.parquet").unlink()
    metrics, decoded = summarise(ledger)
    held = LedgerFile(file="ledger.parquet", sha256=ledger.write(run / "ledger.parquet"))
    told = {"ledger": held, "metrics": metrics, "decoded_only": decoded, "clips": None}
    record.model_copy(update={**told, "dataset": dataset_of(ledger.info)}).write(run / "record.json")
    monkeypatch.setattr(entry_audit, "_busy", lambda: None)
    if name == "clips chosen":  # not even an entry
        with pytest.raises(UserError, match="cannot be where it says"):
            entered(run, tmp_path / "boards")
        return
    folder = entered(run, tmp_path / "boards")
    assert finding in problems(monkeypatch, folder, as_zero(honest, tmp_path), tinted)


def as_zero(honest: str, folder: Path) -> str:
    """The same weights for the network that always says the same."""
    return rewritten(honest, folder / "zero.ckpt", lambda held: held["architecture"].update({"class": "ZeroTint"}))


def stripped(held: dict[str, Any]) -> None:
    del held["provenance"]


def emptied(held: dict[str, Any]) -> None:
    none = torch.empty(0, dtype=torch.int64)
    held["provenance"] = {"is_known": True, "seen": none, "trained": none, "content": {}}


def other_files(held: dict[str, Any]) -> None:
    """The declared names, over the contents of other videos."""
    for part in held["provenance"]["content"].values():
        part["digests"] += 1
        part["prints"] = torch.randint_like(part["prints"], 2**62) | 1


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("stripped", "what the weights have seen"),
        ("emptied", "what the weights have seen"),
        ("other_files", "declared training videos"),
    ],
)
def test_a_forged_provenance_is_caught(
    name: str,
    finding: str,
    honest: str,
    tested_as: Callable[..., Path],
    tinted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoint = rewritten(honest, tmp_path / "forged.ckpt", globals()[name])
    run = tested_as(MODULE + "Tint", checkpoint)
    call_clean(run)
    assert finding in problems(monkeypatch, entered(run, tmp_path / "boards"), checkpoint, tinted, copies=5)


def call_clean(run: Path) -> None:
    record = Record.read(run)
    lie = record.checkpoint.model_copy(update={"provenance": "clean"})
    record.model_copy(update={"checkpoint": lie}).write(run / "record.json")


def test_training_on_test_videos_under_other_names_is_caught(
    fitted: Callable[..., str],
    tested_as: Callable[..., Path],
    tinted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The record calls it clean, and no name is the same."""
    other = tmp_path / "mine"
    for number, file in enumerate(sorted((tinted / "test").rglob("*.mp4"))):
        target = other / "train" / file.parent.name / f"own{number}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    checkpoint = fitted(MODULE + "Tint", root=other)
    run = tested_as(MODULE + "Tint", checkpoint, "--allow_contaminated", "true")
    call_clean(run)
    found = problems(monkeypatch, entered(run, tmp_path / "boards"), checkpoint, tinted, copies=5)
    assert "the checkpoint that they are contaminated" in found["what the weights have seen"]
