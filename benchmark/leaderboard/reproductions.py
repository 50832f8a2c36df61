"""Videos of an entry scored again from their files, whose outcome lifts it to *reproduced* where it is signed."""

from typing import ClassVar

from benchmark.leaderboard.statements import Statement


class Reproduction(Statement):
    """What came out when videos were scored again as the record says."""

    file_name: ClassVar[str] = "reproduction.json"
    namespace: ClassVar[str] = "clipbench-reproduction"
