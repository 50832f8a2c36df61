"""What the leaderboards catch: every way to make an entry say what its ledger does not."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmark.commands.rescore import main as rescore_main
from benchmark.errors import UserError
from benchmark.leaderboard.entries import add_entry, check_entries, entry_folder
from benchmark.leaderboard.ranking import read_boards
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record
from benchmark.results.summary import summarise
from tests.generators.ledgers import make_ledger, write_run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A leaderboards' folder with one entry."""
    write_run(tmp_path / "run", make_ledger(official_videos=50), name="Honest model")
    root = tmp_path / "leaderboards"
    add_entry(tmp_path / "run", root)
    return root


def only_entry(root: Path) -> Path:
    ((entry,), _, _) = check_entries(root)
    return root / entry.entry_id


def verify_entries(root: Path, ledgers: Path | None = None) -> tuple[list[str], list[str]]:
    """What is wrong, and what could not be checked."""
    _, problems, unchecked = check_entries(root, ledgers)
    return problems, unchecked


def edit(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    held = json.loads(path.read_text("utf-8"))
    change(held)
    path.write_text(json.dumps(held), "utf-8")


def test_an_honest_entry_passes(root: Path) -> None:
    assert verify_entries(root) == ([], [])
    folder = only_entry(root)
    assert {path.name for path in folder.iterdir()} == {"record.json", "ledger.parquet"}
    assert folder.relative_to(root) == entry_folder(Record.read(folder))


def problem(root: Path) -> str:
    """The only problem found."""
    (found,), unchecked = verify_entries(root)
    assert not unchecked
    return found


def test_an_edited_number_is_caught(root: Path) -> None:
    folder = only_entry(root)
    edit(folder / "record.json", lambda held: held["metrics"]["video_hit1"].update(value=0.999))  # type: ignore[index]
    assert "its video_hit1 is 0.999, but the ledger gives" in problem(root)


@pytest.mark.parametrize("end", ["low", "high"])
def test_an_edited_interval_is_caught(root: Path, end: str) -> None:
    edit(only_entry(root) / "record.json", lambda held: held["metrics"]["map"].update({end: 0.01}))  # type: ignore[index]
    assert "its interval of map is" in problem(root)


def test_a_dropped_or_invented_number_is_caught(root: Path) -> None:
    path = only_entry(root) / "record.json"
    edit(path, lambda held: held["metrics"].pop("map"))  # type: ignore[attr-defined]
    assert "it lacks map, which the ledger gives" in problem(root)
    edit(path, lambda held: held["metrics"].update(map={"value": 0.5}, top1={"value": 1.0}))  # type: ignore[attr-defined]
    assert any("it has top1, which the ledger does not give" in line for line in verify_entries(root)[0])


def test_hidden_failures_are_caught(root: Path) -> None:
    def hide(held: dict[str, object]) -> None:
        held["metrics"], held["decoded_only"], held["failed_videos"] = held["decoded_only"], None, {}

    edit(only_entry(root) / "record.json", hide)
    assert "its number of videos or list of failed videos is not the ledger's" in "\n".join(verify_entries(root)[0])


def test_a_swapped_ledger_is_caught(root: Path) -> None:
    make_ledger(model_seed=5, official_videos=50).write(only_entry(root) / "ledger.parquet")
    assert "its ledger has the SHA-256" in "\n".join(verify_entries(root)[0])


def test_a_flipped_byte_is_caught(root: Path) -> None:
    path = only_entry(root) / "ledger.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert len(verify_entries(root)[0]) == 1


def test_a_ledger_that_is_missing_is_caught(root: Path) -> None:
    (only_entry(root) / "ledger.parquet").unlink()
    assert "ledger.parquet is missing, and the record has no address for it" in problem(root)


def test_another_protocol_is_caught(root: Path) -> None:
    edit(only_entry(root) / "record.json", lambda held: held["protocol"].update(clips_per_video=20))  # type: ignore[attr-defined]
    found = "\n".join(verify_entries(root)[0])
    assert "its protocol is not the ledger's" in found
    assert "its protocol_hash is" in found


def test_another_fold_is_caught(root: Path) -> None:
    edit(only_entry(root) / "record.json", lambda held: held["dataset"].update(fold=2))  # type: ignore[attr-defined]
    found = "\n".join(verify_entries(root)[0])
    assert "by its record it belongs into made/fold2" in found
    assert "its dataset, fold, class subset, fingerprint or number of videos is not the ledger's" in found


def test_a_duplicate_is_refused_and_caught(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is an entry already"):
        add_entry(tmp_path / "run", root)
    # The same scores under another name, in a file of other bytes.
    ledger = make_ledger(official_videos=50)
    turned = ledger.select(np.arange(len(ledger))[::-1].copy())
    record = write_run(tmp_path / "copy", turned, name="Copied model")
    with pytest.raises(UserError, match="is an entry already"):
        add_entry(tmp_path / "copy", root)
    shutil.copytree(tmp_path / "copy", root / entry_folder(record))
    assert "it has the same scores as" in problem(root)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("name", "<script>alert(1)</script>"),
        ("name", "x\u202egnp.exe"),
        ("name", "a\nb"),
        ("ledger", {"file": "../../../etc/passwd", "sha256": "0" * 64}),
        ("ledger", {"file": "/etc/passwd", "sha256": "0" * 64}),
        ("ledger", {"file": "ledger.parquet", "sha256": "0" * 64, "url": "javascript:alert(1)"}),
        ("ledger", {"file": "ledger.parquet", "sha256": "0" * 64, "url": "file:///etc/passwd"}),
        ("precision", "!!python/object/apply:os.system ['true']\n"),
        ("surprise", 1),
    ],
)
def test_a_malicious_string_is_caught_and_named(root: Path, field: str, text: object) -> None:
    edit(only_entry(root) / "record.json", lambda held: held.update({field: text}))
    assert f"is no record: {field}" in problem(root)


def test_files_that_do_not_belong_are_named(root: Path) -> None:
    (only_entry(root) / "weights.pkl").write_bytes(b"\x80\x04")
    assert "weights.pkl does not belong here" in problem(root)


def test_a_link_out_of_the_folder_is_named(root: Path, tmp_path: Path) -> None:
    path = only_entry(root) / "ledger.parquet"
    path.rename(tmp_path / "elsewhere.parquet")
    path.symlink_to(tmp_path / "elsewhere.parquet")
    assert "ledger.parquet: a link" in problem(root)


def test_a_pickle_instead_of_a_ledger_is_caught(root: Path) -> None:
    path = only_entry(root) / "ledger.parquet"
    path.write_bytes(pickle.dumps({"a": 1}))
    assert "ledger.parquet is no ledger, or is damaged" in problem(root)


def test_a_sample_is_no_entry(tmp_path: Path) -> None:
    write_run(tmp_path / "run", make_ledger().select(np.arange(10)))
    with pytest.raises(UserError, match="it scored 10 of 40 videos"):
        add_entry(tmp_path / "run", tmp_path / "leaderboards")
    assert not (tmp_path / "leaderboards").exists()


def test_a_large_ledger_stays_out_and_can_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.leaderboard.entries.LARGEST_LEDGER_BYTES", 1000)
    run, root = tmp_path / "run", tmp_path / "leaderboards"
    record = write_run(run, make_ledger())
    with pytest.raises(UserError, match="--ledger_url"):
        add_entry(run, root)
    with pytest.raises(UserError, match="no plain https address"):
        add_entry(run, root, "http://example.org/ledger.parquet")
    folder = add_entry(run, root, "https://example.org/ledger.parquet")
    assert [path.name for path in folder.iterdir()] == ["record.json"]
    problems, (unchecked,) = verify_entries(root)
    assert not problems
    assert "fetch https://example.org/ledger.parquet as" in unchecked
    shutil.copyfile(run / "ledger.parquet", tmp_path / f"{record.ledger.sha256}.parquet")
    assert verify_entries(root, tmp_path) == ([], [])
    make_ledger(model_seed=3).write(tmp_path / f"{record.ledger.sha256}.parquet")
    assert "its ledger has the SHA-256" in "\n".join(verify_entries(root, tmp_path)[0])


def test_a_run_without_ledger_is_no_entry(tmp_path: Path) -> None:
    write_run(tmp_path / "run", make_ledger())
    (tmp_path / "run/ledger.parquet").unlink()
    with pytest.raises(UserError, match="an entry needs its ledger"):
        add_entry(tmp_path / "run", tmp_path / "leaderboards")


def test_paths_of_somebody_s_machine_stay_there(tmp_path: Path) -> None:
    record = write_run(tmp_path / "run", make_ledger())
    config = {"data": {"init_args": {"root": "/home/somebody/secret/videos", "views": ["centre", "/a/b"]}}, "seed": 3}
    record.model_copy(update={"config": config}).write(tmp_path / "run/record.json")
    added = Record.read(add_entry(tmp_path / "run", tmp_path / "leaderboards"))
    assert added.config == {"data": {"init_args": {"root": "videos", "views": ["centre", "b"]}}, "seed": 3}


def test_what_is_added_is_what_was_tested(root: Path, tmp_path: Path) -> None:
    added = Ledger.read(only_entry(root))
    assert added.table == Ledger.read(tmp_path / "run").table
    assert Record.read(only_entry(root)) == Record.read(tmp_path / "run")


def test_a_linked_entry_and_stray_files_are_named(root: Path, tmp_path: Path) -> None:
    folder = only_entry(root)
    (root / "made/notes.txt").write_text("x", "utf-8")
    (root / "made/fold1/x.txt").write_text("x", "utf-8")
    shutil.copytree(folder, tmp_path / "elsewhere")
    (root / "made/fold1/linked").symlink_to(tmp_path / "elsewhere")
    found = "\n".join(verify_entries(root)[0])
    assert "made/notes.txt does not belong here" in found
    assert "made/fold1/x.txt does not belong here" in found
    assert "made/fold1/linked: a link" in found


def test_text_that_is_no_utf8_is_caught(root: Path) -> None:
    path = only_entry(root) / "ledger.parquet"
    ledger = Ledger.read(path)
    names = ledger.table["video_id"].to_pylist()
    broken = pa.array([name.encode() for name in names[:-1]] + [b"\xff\xfe"], pa.binary()).view(pa.string())
    table = ledger.table.set_column(0, ledger.table.schema.field(0), pa.chunked_array([broken]))
    Ledger(ledger.info, table).write(path)
    assert "ledger.parquet is no ledger, or is damaged" in problem(root)


def test_a_board_of_contradicting_labels_is_not_built(root: Path, tmp_path: Path) -> None:
    """A ledger that takes its own predictions for the truth has perfect numbers, and none of the others agrees."""
    honest = make_ledger(model_seed=9, failed=0, several=0, official_videos=50)
    own = [[int(best)] for best in honest.scores.argmax(1)]
    place = honest.table.schema.get_field_index("labels")
    field = honest.table.schema.field(place)
    turned = honest.table.set_column(place, field, pa.chunked_array([pa.array(own, field.type)]))
    # Its ranks are those of the honest labels; every video has one label in both.
    write_run(tmp_path / "self", Ledger(honest.info, turned), name="Self-made")
    add_entry(tmp_path / "self", root)
    with pytest.raises(UserError, match="cannot be on one board"):
        read_boards(root)


@pytest.mark.parametrize(
    "change",
    [
        {"ledger_sha256": "2" * 64},
        {"checkpoint_sha256": "2" * 64},
        {"videos": 5},
        {"videos": 41},
        {"largest_difference": 0.02},
        {"allowed_difference": 1.0, "largest_difference": 1.0},
        {"allowed_difference": "Infinity"},
        {"videos": "40"},
        {"surprise": 1},
    ],
)
def test_a_reproduction_that_proves_nothing_is_caught(root: Path, change: dict[str, object]) -> None:
    record = Record.read(only_entry(root))
    outcome = {
        "ledger_sha256": record.ledger.sha256,
        "checkpoint_sha256": record.checkpoint.sha256,
        "videos": 40,
        "seed": 1,
        "largest_difference": 0.001,
        "allowed_difference": 0.01,
        "created": "2026-01-02T03:04:05Z",
        "code": "0.1.0",
    }
    path = only_entry(root) / "reproduction.json"
    path.write_text(json.dumps(outcome), "utf-8")
    assert verify_entries(root) == ([], [])
    assert read_boards(root)[0].rows[0].confirmed_by == "an unknown person (unsigned)"
    path.write_text(json.dumps(outcome | change), "utf-8")
    assert "reproduction.json" in problem(root)
    with pytest.raises(UserError, match=r"reproduction\.json"):
        read_boards(root)


def test_edited_numbers_reach_no_table(root: Path) -> None:
    edit(only_entry(root) / "record.json", lambda held: held["metrics"]["video_hit1"].update(value=1.0))  # type: ignore[index]
    with pytest.raises(UserError, match=r"its video_hit1 is 1\.0"):
        read_boards(root)


def test_adding_an_entry_works_out_no_other_entrys_numbers(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(ledger: Ledger, **options: Any) -> Any:
        calls.append(ledger.info.fold)
        return summarise(ledger, **options)

    monkeypatch.setattr("benchmark.leaderboard.entries.summarise", counted)
    for fold in range(2, 6):
        write_run(tmp_path / str(fold), make_ledger(fold, fold=fold))
        add_entry(tmp_path / str(fold), root)
    assert calls == [2, 3, 4, 5]
    with pytest.raises(UserError, match="is an entry already"):
        add_entry(tmp_path / "3", root)
    assert calls == [2, 3, 4, 5, 3]


def test_a_broken_entry_keeps_nobody_from_adding_another(root: Path, tmp_path: Path) -> None:
    (only_entry(root) / "ledger.parquet").write_bytes(b"nothing")
    write_run(tmp_path / "other", make_ledger(7))
    assert add_entry(tmp_path / "other", root).is_dir()


def test_intervals_of_the_older_method_are_said_to_be_unchecked(root: Path, tmp_path: Path) -> None:
    def as_before(record: dict[str, Any]) -> None:
        del record["intervals"]
        record["metrics"]["video_hit1"]["low"] = 0.0

    edit(only_entry(root) / "record.json", as_before)
    problems, (unchecked,) = verify_entries(root)
    assert problems == []
    assert "older method percentile-bootstrap" in unchecked
    assert "--update true" in unchecked
    edit(tmp_path / "run" / "record.json", as_before)
    with pytest.raises(UserError, match=r"cannot be an entry yet: .*older method"):
        add_entry(tmp_path / "run", tmp_path / "elsewhere")
    assert rescore_main([str(only_entry(root)), "--update", "true"]) == 0
    assert verify_entries(root) == ([], [])
    edit(only_entry(root) / "record.json", lambda record: record["metrics"]["video_hit1"].update(low=0.0))  # type: ignore[index]
    assert "interval of video_hit1" in problem(root)
