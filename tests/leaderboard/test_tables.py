"""Files that are generated from the boards."""

import errno
from contextlib import suppress
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.leaderboard.tables import GENERATED, write_tables
from tests.generators.boards import sample_boards

pytestmark = pytest.mark.extra("plotly")


@pytest.mark.parametrize("name", GENERATED)
def test_a_full_disk_leaves_no_half_of_a_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = Path.write_bytes, Path.write_text

    def cut(path: Path, content: bytes | str) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        write(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    def bytes_to(path: Path, data: bytes) -> int:
        if path.name.startswith(name):
            cut(path, data)
        return write(path, data)

    def text_to(path: Path, data: str, *more: object, **told: object) -> int:
        if path.name.startswith(name):
            cut(path, data)
        return written(path, data, *more, **told)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_bytes", bytes_to)
    monkeypatch.setattr(Path, "write_text", text_to)
    with suppress(OSError, UserError):
        write_tables(sample_boards(), tmp_path)
    assert not list(tmp_path.glob(f"{name}*"))
    monkeypatch.undo()
    assert {path.name for path in write_tables(sample_boards(), tmp_path)} == {path.name for path in tmp_path.iterdir()}
