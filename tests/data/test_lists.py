from pathlib import Path

import pytest

from benchmark.data.lists import read_lines
from benchmark.errors import UserError


def test_lines_have_no_ends_and_no_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("\ufeffone\r\ntwo\n".encode())
    assert read_lines(tmp_path / "list.txt") == ["one", "two"]


def test_a_list_that_is_not_text_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"Sk\xe9 1\n")
    with pytest.raises(UserError, match=r"list.txt is not in UTF-8 \(byte 3: .*save it in UTF-8"):
        read_lines(tmp_path / "list.txt")
    with pytest.raises(UserError, match=r"cannot be read: Is a directory"):
        read_lines(tmp_path)
