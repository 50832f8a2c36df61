"""Several tests of the same classes as one: the folds of a grid, with their seeds."""

import dataclasses
from collections.abc import Iterable, Mapping

import pyarrow as pa

from benchmark.results.comparison import common_videos
from benchmark.results.ledger import Ledger


def pooled_pair(one: Mapping[str, Ledger | None], other: Mapping[str, Ledger | None]) -> tuple[Ledger, Ledger] | None:
    """The common videos of all tests that two systems share by name, or None where they share none.

    Args:
        one: Tests of one system, such as one a fold; None where there is no ledger.
        other: Of the other.
    """
    names = [name for name in one if one[name] is not None and other.get(name) is not None]
    if not names:
        return None
    first, second = ({name: held for name in names if (held := part[name]) is not None} for part in (one, other))
    return common_videos(pooled(first.items()), pooled(second.items()))


def pooled(ledgers: Iterable[tuple[str, Ledger]]) -> Ledger:
    """One ledger of several tests of the same classes; a video that is in two counts in each, as one source.

    Args:
        ledgers: Each with a name of its own, which its videos get in front.
    """
    named = list(ledgers)
    first, tables = named[0][1], []
    for name, ledger in named:
        table = ledger.table
        place = table.schema.get_field_index("video_id")
        field = table.schema.field(place)
        names = pa.array([f"{name}: {video}" for video in ledger.video_ids], field.type)
        # A video of unknown source is a source of its own, under its own name in all tests.
        source = table.schema.get_field_index("source_group")
        known = table["source_group"].to_pylist()
        sources = [group or f"video {video}" for group, video in zip(known, ledger.video_ids, strict=True)]
        table = table.set_column(source, "source_group", pa.array(sources, pa.string()))
        tables.append(table.set_column(place, field, names))
    info = dataclasses.replace(
        first.info,
        fold=None,
        held_videos=sum(ledger.info.held_videos for _, ledger in named),
        official_videos=None,
    )
    return Ledger(info, pa.concat_tables(tables).combine_chunks())
