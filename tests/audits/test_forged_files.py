"""Entries that `leaderboard verify` finds out by their files alone, without a video or a network."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.files import file_hash
from benchmark.leaderboard.audits import Audit, loses_too_many
from benchmark.leaderboard.entries import Entry, add_entry, check_entries
from benchmark.leaderboard.ranking import tier_of
from benchmark.leaderboard.statements import write_statement
from benchmark.results.ledger import Ledger
from benchmark.results.record import LedgerFile, Record
from benchmark.results.summary import summarise
from tests.generators.keys import needs_openssh, write_key
from tests.generators.ledgers import make_audit, make_ledger, make_reproduction, write_run

pytestmark = needs_openssh


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The one entry of leaderboards that list the key `tmp_path / "key"` and not `tmp_path / "other"`."""
    write_run(tmp_path / "run", make_ledger())
    entry = add_entry(tmp_path / "run", tmp_path / "leaderboards")
    write_key(tmp_path / "key", tmp_path / "leaderboards")
    write_key(tmp_path / "other")
    return entry


def key(folder: Path, name: str) -> Path:
    return folder.parents[3] / name


def audited(folder: Path, **change: object) -> Audit:
    return make_audit(Record.read(folder), **{"record_sha256": file_hash(folder / "record.json"), **change})


def looked_at(folder: Path) -> tuple[Entry, list[str]]:
    ((entry,), problems, _) = check_entries(folder.parents[2])
    return entry, problems


def test_a_signed_audit_lifts_an_entry(folder: Path) -> None:
    write_statement(folder, audited(folder), key(folder, "key"))
    entry, problems = looked_at(folder)
    assert problems == []
    assert (tier_of(entry), entry.confirmed_by) == ("audited", "Ann")


def unsigned(folder: Path) -> None:
    write_statement(folder, audited(folder))


def unsigned_reproduction(folder: Path) -> None:
    outcome = make_reproduction(Record.read(folder), record_sha256=file_hash(folder / "record.json"))
    write_statement(folder, outcome)


def by_a_stranger(folder: Path) -> None:
    write_statement(folder, audited(folder), key(folder, "other"))


def of_another_entry(folder: Path) -> None:
    write_statement(folder, audited(folder, ledger_sha256="2" * 64), key(folder, "key"))


def of_another_record(folder: Path) -> None:
    write_statement(folder, audited(folder, record_sha256="2" * 64), key(folder, "key"))


def improved_afterwards(folder: Path) -> None:
    path = write_statement(folder, audited(folder, videos=20), key(folder, "key"))
    path.write_text(path.read_text("utf-8").replace('"videos": 20', '"videos": 40'), "utf-8")


def from_a_reproduction(folder: Path) -> None:
    """The signature of one kind of statement under another."""
    outcome = make_reproduction(Record.read(folder), record_sha256=file_hash(folder / "record.json"))
    write_statement(folder, outcome, key(folder, "key"))
    write_statement(folder, audited(folder))
    (folder / "reproduction.json.sig").rename(folder / "audit.json.sig")
    (folder / "reproduction.json").unlink()


def record_edited_afterwards(folder: Path) -> None:
    write_statement(folder, audited(folder), key(folder, "key"))
    record = Record.read(folder)
    record.model_copy(update={"name": "Better"}).write(folder / "record.json")


def too_few(folder: Path) -> None:
    write_statement(folder, audited(folder, videos=3), key(folder, "key"))


def without_copies(folder: Path) -> None:
    write_statement(folder, audited(folder, copies=0, right=0, lost=0, gained=0), key(folder, "key"))


def with_lost_copies(folder: Path) -> None:
    write_statement(folder, audited(folder, right=30, lost=25, gained=0), key(folder, "key"))


def metric_edited(folder: Path) -> None:
    record = Record.read(folder)
    value = record.metrics["video_hit1"].model_copy(update={"value": 0.999})
    record.model_copy(update={"metrics": {**record.metrics, "video_hit1": value}}).write(folder / "record.json")


def hard_videos_left_out(folder: Path) -> None:
    """Those that were called wrong are gone, and all numbers are of the rest."""
    ledger, record = Ledger.read(folder), Record.read(folder)
    kept = np.flatnonzero((ledger.scores.argmax(1) == ledger.labels.argmax(1)) | ~ledger.scored)
    rest = ledger.select(kept)
    metrics, decoded = summarise(rest)
    stored = LedgerFile(file="ledger.parquet", sha256=rest.write(folder / "ledger.parquet"))
    change = {"ledger": stored, "metrics": metrics, "decoded_only": decoded, "videos": len(rest)}
    record.model_copy(update={**change, "failed_videos": rest.failures()}).write(folder / "record.json")


FORGED: dict[Callable[[Path], None], str | None] = {
    unsigned: None,
    unsigned_reproduction: None,
    by_a_stranger: "audit.json.sig is of no listed maintainer",
    of_another_entry: "audit.json is about another ledger or checkpoint",
    of_another_record: "audit.json.sig is of no listed maintainer, or of another audit.json or record",
    improved_afterwards: "audit.json.sig is of no listed maintainer",
    from_a_reproduction: "audit.json.sig is of no listed maintainer",
    record_edited_afterwards: "audit.json.sig is of no listed maintainer",
    too_few: "audit.json is about another ledger or checkpoint, or proves too little",
    without_copies: "or proves too little",
    with_lost_copies: "or proves too little",
    metric_edited: "its video_hit1 is 0.999, but the ledger gives",
    hard_videos_left_out: "an entry scores all",
}
"""What is found; None where nothing is wrong, and the entry just rises no higher."""


@pytest.mark.parametrize("forge", FORGED, ids=lambda forge: forge.__name__)
def test_a_forged_file_lifts_no_entry(forge: Callable[[Path], None], folder: Path) -> None:
    forge(folder)
    entry, problems = looked_at(folder)
    assert tier_of(entry) == "recomputed"
    expected = FORGED[forge]
    assert (problems == []) if expected is None else any(expected in line for line in problems)
    if expected is None:
        assert "(unsigned)" in str(entry.confirmed_by)


def test_a_copy_of_an_entry_is_found(folder: Path, tmp_path: Path) -> None:
    twin = Path(shutil.copytree(folder, folder.with_name("made-model-0000000000")))
    _, problems, _ = check_entries(twin.parents[2])
    assert any("it has the same scores as" in line for line in problems)


@pytest.mark.parametrize(
    ("right", "lost", "gained", "accused"),
    [(30, 20, 0, True), (30, 3, 0, False), (30, 6, 4, False), (2, 2, 0, False), (30, 12, 10, False), (0, 0, 0, False)],
)
def test_frail_networks_are_told_from_those_that_know_files(right: int, lost: int, gained: int, accused: bool) -> None:
    assert loses_too_many(right, lost, gained) == accused


def test_a_network_that_loses_no_more_than_it_may_is_rarely_accused() -> None:
    """One in a thousand of those that lose exactly that share, and fewer of the others."""
    rng = np.random.default_rng(0)
    lost = rng.binomial(50, 0.1, 20_000)
    assert np.mean([loses_too_many(50, int(each), 0) for each in lost]) <= 0.0016
