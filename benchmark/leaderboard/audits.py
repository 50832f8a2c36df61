"""Videos of an entry scored again where the network cannot know them, whose outcome lifts it to *audited*."""

from typing import ClassVar, Literal

from pydantic import Field
from scipy.stats import binom

from benchmark.leaderboard.statements import LARGEST_DIFFERENCE, Statement
from benchmark.results.fields import Count, Plain
from benchmark.results.record import Record
from benchmark.wording import counted

AUDITED_COPIES = 60
MOST_LOST = 0.1
"""Share of the videos called right whose changed copies a network may call wrong, by chance or frailty."""

_LEVEL = 0.001  # error rate of accusing a network that loses no more than that


def loses_too_many(right: int, lost: int, gained: int) -> bool:
    """Whether copies of videos are recognised so much worse that the videos themselves must have been known.

    Args:
        right: Videos called right in the ledger that have a copy.
        lost: Of these, those whose copy was called wrong.
        gained: Copies called right of videos that were called wrong.
    """
    net = lost - gained
    return net > MOST_LOST * right and bool(binom.sf(net - 1, right, MOST_LOST) < _LEVEL)


class Audit(Statement):
    """What came out when blinded videos and changed copies of them were scored without a network."""

    file_name: ClassVar[str] = "audit.json"
    namespace: ClassVar[str] = "clipbench-audit"

    isolation: Literal["a network namespace of its own", "connections refused by Python alone"]
    copies: Count
    right: Count  # videos with a copy that the ledger calls right
    lost: Count  # of these, called wrong as a copy
    gained: Count  # called right as a copy alone
    repeats: Count
    largest_change: float = Field(ge=0, le=1)  # between batches, orders, workers and repeats
    batch_sizes: tuple[Count, ...]
    not_judged: tuple[Plain, ...] = ()

    @property
    def extent(self) -> str:
        """How much was scored, in words."""
        return ", ".join(
            [
                counted(self.videos, "video"),
                counted(self.copies, "changed copy", "changed copies"),
                counted(self.repeats, "repeat"),
            ]
        )

    def proves(self, record: Record) -> bool:
        """Whether it is also large enough as an audit, and nothing in it speaks against the entry."""
        return (
            super().proves(record)
            and self.copies >= min(AUDITED_COPIES, record.videos - len(record.failed_videos)) // 2
            and self.largest_change <= LARGEST_DIFFERENCE
            and self.largest_change <= self.allowed_difference
            and max(self.right, self.lost, self.gained) <= self.copies
            and not loses_too_many(self.right, self.lost, self.gained)
        )
