"""`leaderboard verify` looks at everything that is there, also where a ledger is elsewhere."""

import datetime
import shutil
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.leaderboard.board_tables import SUBMITTED
from benchmark.leaderboard.claims import CLAIMS
from benchmark.leaderboard.entries import check_entries
from benchmark.results.record import Record
from benchmark.shipped import shipped_folder
from tests.generators.ledgers import make_ledger, write_run

pytestmark = pytest.mark.extra("plotly")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two made-up entries and the claims that come with the package, built."""
    root = tmp_path / "leaderboards"
    for seed in (1, 2):
        write_run(tmp_path / f"run{seed}", make_ledger(model_seed=seed), name=f"Model {seed}")
        assert main(["leaderboard", "add", str(tmp_path / f"run{seed}"), "--root", str(root)]) == 0
    shutil.copytree(shipped_folder("leaderboards") / CLAIMS, root / CLAIMS)
    assert main(["leaderboard", "build", "--root", str(root)]) == 0
    return root


def verified(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["leaderboard", "verify", "--root", str(root)])
    return code, capsys.readouterr().out


def move_a_ledger_away(root: Path) -> None:
    entry = check_entries(root)[0][0]
    folder = root / entry.entry_id
    record = Record.read(folder)
    stored = record.ledger.model_copy(update={"url": "https://example.org/ledger.parquet"})
    record.model_copy(update={"ledger": stored}).write(folder / "record.json")
    (folder / "ledger.parquet").unlink()
    assert main(["leaderboard", "build", "--root", str(root)]) == 0


def test_what_is_in_order_passes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verified(root, capsys)[0] == 0


def test_a_ledger_elsewhere_makes_tier_and_code_say_so(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    move_a_ledger_away(root)
    code, text = verified(root, capsys)
    assert code == 3
    assert "not checked: made/fold1" in text
    assert (root / "README.md").read_text("utf-8").count("| claimed |") > 0


def test_what_an_edit_could_change_unnoticed_is_called_the_submitters_word(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = root / check_entries(root)[0][0].entry_id
    record = Record.read(folder)
    other = record.code.model_copy(update={"commit": "f" * 40})
    created = datetime.datetime(2019, 1, 1, tzinfo=datetime.UTC)
    record.model_copy(update={"code": other, "created": created}).write(folder / "record.json")
    assert verified(root, capsys)[0] == 1  # until the tables are made again
    assert main(["leaderboard", "build", "--root", str(root)]) == 0
    code, text = verified(root, capsys)
    assert code == 0
    for shown in (text, *((root / name).read_text("utf-8") for name in ("README.md", "index.html"))):
        assert SUBMITTED in shown
    assert "Tested, as submitted" in (root / "index.html").read_text("utf-8")


@pytest.mark.parametrize("name", ["index.html", "README.md", "entries.csv", "plotly.min.js"])
def test_edited_files_are_found_beside_a_ledger_elsewhere(
    root: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    move_a_ledger_away(root)
    with (root / name).open("a", encoding="utf-8") as file:
        file.write("<script>alert(1)</script>\n")
    code, text = verified(root, capsys)
    assert code == 1
    assert f"wrong: {name} is not what the entries give" in text


@pytest.mark.parametrize(
    "name", ["extra.js", ".hidden", "paper/notes.html", "paper/more/table.json", "made/fold1/a.txt"]
)
def test_stray_files_are_found(root: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("{}", "utf-8")
    code, text = verified(root, capsys)
    assert code == 1
    assert f"{name} does not belong here" in text


def test_edited_claims_are_found(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claims = root / CLAIMS / "table1.json"
    claims.write_text(claims.read_text("utf-8").replace("0.593", "0.993"), "utf-8")
    assert main(["leaderboard", "build", "--root", str(root)]) == 0
    code, text = verified(root, capsys)
    assert code == 1
    assert "paper/table1.json is not the table that comes with this version" in text
    claims.rename(claims.with_name("mine.json"))
    assert main(["leaderboard", "build", "--root", str(root)]) == 0
    code, text = verified(root, capsys)
    assert code == 3
    assert "not checked: paper/mine.json" in text


def test_an_empty_folder_holds_nothing_to_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", "verify", "--root", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path} is empty: there are no leaderboards in it to verify" in said
    assert f"leaderboard add RUN_DIR --root {tmp_path}" in said


def test_hits_that_cannot_miss_are_in_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two of two classes are always a hit, and a record still holds it."""
    for classes, shown in ((2, False), (6, True)):
        root, run = tmp_path / f"board{classes}", tmp_path / f"run{classes}"
        write_run(run, make_ledger(classes=classes))
        assert "video_hit5" in Record.read(run).metrics
        assert main(["leaderboard", "add", str(run), "--root", str(root)]) == 0
        assert main(["leaderboard", "build", "--root", str(root)]) == 0
        assert main(["leaderboard", "verify", "--root", str(root)]) == 0
        assert ("Hit@5" in (root / "README.md").read_text("utf-8").partition("| entry |")[2]) is shown
        capsys.readouterr()
        for words in (["rescore", str(run)], ["compare", str(run), str(run)], ["model_card", str(run)]):
            assert main(words) == 0
            said = capsys.readouterr().out
            assert "Hit@1" in said
            assert ("Hit@5" in said) is shown
