"""Where a row of the page leads: files beside it, and addresses that its submitter gave."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from benchmark.leaderboard.entries import add_entry
from benchmark.leaderboard.ranking import read_boards
from benchmark.results.record import Record, Submission
from tests.generators.ledgers import make_ledger, write_run


def test_a_row_leads_to_its_files_and_to_what_was_handed_in(tmp_path: Path) -> None:
    root = tmp_path / "leaderboards"
    record = write_run(tmp_path / "run", make_ledger())
    sent = Submission(by="Ada", code="https://example.org/code/tree/1", paper="https://example.org/p.pdf")
    folder = add_entry(tmp_path / "run", root, submission=sent)
    assert Record.read(folder).submission == sent
    ((row,),) = [board.rows for board in read_boards(root)]
    entry_id = folder.relative_to(root).as_posix()
    found = {link.label.partition(" ")[0]: link.address for link in row.links}
    assert found == {
        "record": f"{entry_id}/record.json",
        "ledger": f"{entry_id}/ledger.parquet",
        "code": sent.code,
        "checkpoint": None,
        "paper": sent.paper,
        record.created.date().isoformat(): None,
        "by": None,
    }
    assert all((root / str(found[label])).is_file() for label in ("record", "ledger"))
    assert row.links[-1].label == "by Ada"
    for wrong in ({"by": "<b>"}, {"paper": "javascript:alert(1)"}, {"code": "http://example.org/x"}):
        with pytest.raises(ValidationError):
            Submission(**wrong)
