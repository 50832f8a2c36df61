"""What a result must share with another one to be compared, but for the protocol."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Identity:
    """Dataset, fold and class subset.

    Args:
        dataset: Name of the dataset.
        fold: Official fold, 1-based, or None where the dataset has none.
        classes: Names of the chosen classes, or None for all of them.
    """

    dataset: str
    fold: int | None = None
    classes: tuple[str, ...] | None = None

    def __str__(self) -> str:
        fold = "" if self.fold is None else f" fold {self.fold}"
        subset = "" if self.classes is None else f", {len(self.classes)} chosen classes"
        return f"{self.dataset}{fold}{subset}"
