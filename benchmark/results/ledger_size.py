"""What a ledger would take in memory, worked out before it is read: a file of 5 kB can hold a billion equal numbers."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

_ALWAYS_BYTES = 256 * 10**6
_GROWTH = 200
_TEXTS = ("video_id", "source_group", "status", "reason")


def read_bounded(path: Path, texts: Sequence[str] = _TEXTS) -> pa.Table:
    """All rows of a Parquet file, texts as dictionaries.

    Args:
        path: The file.
        texts: Its columns of texts.

    Raises:
        ValueError: If they would take more than 256 MB and 200 times the file.
    """
    allowed = _ALWAYS_BYTES + _GROWTH * path.stat().st_size
    with parquet.ParquetFile(path, read_dictionary=list(texts)) as file:
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        columns = [group.column(number) for group in groups for number in range(group.num_columns)]
        # A value is 4 bytes, as is what says to which row it belongs; pages are held whole while they are read.
        values = sum(8 * column.num_values for column in columns)
        pages = sum(column.total_uncompressed_size for column in columns)
        _require(max(values, pages), allowed)
        table = file.read()
    _require(sum(_text_bytes(table[name]) for name in texts), allowed)
    return table


def _text_bytes(column: pa.ChunkedArray) -> int:
    """Of a column of dictionaries, once every row has a text of its own."""
    total = 0
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type):
            total += pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0
        else:
            total += chunk.nbytes
    return total


def _require(needed: int, allowed: int) -> None:
    if needed > allowed:
        raise ValueError(f"it would take {needed / 1e6:,.0f} MB in memory; allowed are {allowed / 1e6:,.0f}")
