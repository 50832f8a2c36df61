"""Whether two ledgers hold the same test: the same scores, or at least the same videos."""

import hashlib

from benchmark.results.ledger import Ledger
from benchmark.wording import counted

HELD_SHARE = 0.99
"""Of the videos of an entry's rivals that it has to hold itself."""

_COMMON = 2 * HELD_SHARE - 1  # of those of two that each hold this much of the same


def content_hash(ledger: Ledger) -> str:
    """SHA-256 over names and scores, the same however the file was written."""
    ordered = ledger.table.sort_by("video_id")
    digest = hashlib.sha256("\n".join(ordered["video_id"].to_pylist()).encode())
    digest.update(Ledger(ledger.info, ordered).scores.tobytes())
    return digest.hexdigest()


def other_videos(one: Ledger, other: Ledger) -> str | None:
    """How the videos of two ledgers of one board differ too much for a comparison, or None.

    A dataset that has an official list is that list, of which anyone may lack videos. Of another nothing is known but
    its name, which a second one may have too.

    Args:
        one: A ledger.
        other: Another, of the same dataset, fold and classes by name.
    """
    if one.info.official_videos is not None and other.info.official_videos is not None:
        return None
    common = len(set(one.video_ids) & set(other.video_ids))
    if common >= _COMMON * min(len(one), len(other)):
        return None
    return (
        f"{common:,} of its {counted(len(one), 'test video')} are among the {len(other):,} of the other; these are two "
        f"datasets, or splits of one, that are both called {one.info.dataset}. Test one again by another name "
        "(--data.name)"
    )
