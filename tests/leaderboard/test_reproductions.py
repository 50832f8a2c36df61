"""Only a signature by a listed key, of that very file and record, makes an entry reproduced."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.leaderboard.entries import add_entry, check_entries
from benchmark.leaderboard.ranking import read_boards
from benchmark.leaderboard.reproductions import Reproduction
from benchmark.leaderboard.statements import signed_by, write_statement
from benchmark.results.record import Record
from tests.generators.keys import needs_openssh, write_key
from tests.generators.ledgers import make_ledger, make_reproduction, write_run

pytestmark = needs_openssh


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The one entry of leaderboards that list a key, `tmp_path / "key"`, and not another, `tmp_path / "other"`."""
    root = tmp_path / "leaderboards"
    write_run(tmp_path / "run", make_ledger())
    entry = add_entry(tmp_path / "run", root)
    write_key(tmp_path / "key", root)
    write_key(tmp_path / "other")
    return entry


def outcome(folder: Path, **change: object) -> Reproduction:
    return make_reproduction(Record.read(folder), **{"record_sha256": file_hash(folder / "record.json"), **change})


def verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    root = folder.parents[2]
    try:
        main(["leaderboard", "build", "--root", str(root)])
    finally:
        capsys.readouterr()
    code = main(["leaderboard", "verify", "--root", str(root)])
    return code, capsys.readouterr().out


@pytest.mark.extra("plotly")
def test_a_listed_key_makes_an_entry_reproduced_and_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_statement(folder, outcome(folder, by="somebody"), folder.parents[3] / "key")
    code, text = verified(folder, capsys)
    assert code == 0
    assert "signed: made/fold1" in text
    assert ", confirmed by Ann on 40 videos" in text
    (row,) = read_boards(folder.parents[2])[0].rows
    assert (row.tier, row.confirmed_by) == ("reproduced", "Ann")


@pytest.mark.extra("plotly")
def test_a_word_without_a_signature_is_shown_as_that(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_statement(folder, outcome(folder))
    code, text = verified(folder, capsys)
    assert code == 0
    assert "confirmed by Ann (unsigned)" in text
    (row,) = read_boards(folder.parents[2])[0].rows
    assert (row.tier, row.confirmed_by) == ("recomputed", "Ann (unsigned)")
    assert "| recomputed, confirmed by Ann (unsigned) |" in (folder.parents[2] / "README.md").read_text("utf-8")


def edit_reproduction(folder: Path) -> None:
    path = folder / "reproduction.json"
    path.write_text(path.read_text("utf-8").replace('"seed": 1', '"seed": 2'), "utf-8")


def edit_record(folder: Path) -> None:
    record = Record.read(folder)
    record.model_copy(update={"precision": "16-mixed"}).write(folder / "record.json")


def lose_the_record(folder: Path) -> None:
    write_statement(folder, outcome(folder, record_sha256=None), folder.parents[3] / "key")


def sign_by_another(folder: Path) -> None:
    write_statement(folder, outcome(folder), folder.parents[3] / "other")


def lose_the_list(folder: Path) -> None:
    (folder.parents[2] / "maintainers").unlink()


def write_rubbish(folder: Path) -> None:
    (folder / "reproduction.json.sig").write_bytes(b"\x1b]0;owned\x07 -----BEGIN SSH SIGNATURE-----")


def list_rubbish(folder: Path) -> None:
    (folder.parents[2] / "maintainers").write_bytes(bytes(range(256)))


def lose_what_was_signed(folder: Path) -> None:
    (folder / "reproduction.json").unlink()


@pytest.mark.parametrize(
    "change",
    [
        *(edit_reproduction, edit_record, lose_the_record, sign_by_another, lose_the_list, write_rubbish, list_rubbish),
        lose_what_was_signed,
    ],
)
@pytest.mark.extra("plotly")
def test_a_signature_of_something_else_is_a_problem(
    folder: Path, change: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    write_statement(folder, outcome(folder), folder.parents[3] / "key")
    change(folder)
    ((entry,), problems, _) = check_entries(folder.parents[2])
    assert not entry.is_reproduced
    assert any("reproduction.json.sig" in problem for problem in problems)
    assert main(["leaderboard", "verify", "--root", str(folder.parents[2])]) == 1
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.extra("plotly")
def test_keys_from_elsewhere_are_not_the_pull_requests_own(folder: Path, tmp_path: Path) -> None:
    write_statement(folder, outcome(folder), tmp_path / "other")
    write_key(tmp_path / "third", folder.parents[2])
    with (folder.parents[2] / "maintainers").open("a", encoding="utf-8") as listed:
        listed.write(f"Mallory {(tmp_path / 'other.pub').read_text('utf-8')}")
    root = ["--root", str(folder.parents[2])]
    assert main(["leaderboard", "build", *root]) == 0
    assert main(["leaderboard", "verify", *root]) == 0
    main_branch = tmp_path / "main"
    main_branch.write_text(f"Ann {(tmp_path / 'key.pub').read_text('utf-8')}", "utf-8")
    assert main(["leaderboard", "verify", *root, "--maintainers", str(main_branch)]) == 1


def test_a_key_that_cannot_sign_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot sign"):
        write_statement(folder, outcome(folder), tmp_path / "no key")
    assert sorted(path.name for path in folder.iterdir()) == ["ledger.parquet", "record.json"]


def test_a_key_that_cannot_sign_takes_nothing_away(folder: Path, tmp_path: Path) -> None:
    """Nor is anything scored for it, or for a name that cannot be shown."""
    write_statement(folder, outcome(folder), tmp_path / "key")
    held = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match="cannot sign"):
        write_statement(folder, outcome(folder, by="somebody"), tmp_path / "no key")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == held
    for verb in ("reproduce", "audit"):
        words = ["leaderboard", verb, str(folder), "--ckpt_path", "nowhere.ckpt"]
        assert main([*words, "--key", str(tmp_path / "no key")]) == 2
        assert main([*words, "--by", "\u200b"]) == 2


def test_without_openssh_a_signature_is_not_believed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = outcome(folder)
    write_statement(folder, made, tmp_path / "key")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="need OpenSSH"):
        signed_by(folder, made, file_hash(folder / "record.json"), folder.parents[2] / "maintainers")
    shutil.rmtree(folder.parents[2])
