"""How many clips of each video are used."""

import dataclasses

from benchmark.errors import UserError
from benchmark.wording import counted


@dataclasses.dataclass(frozen=True)
class ClipsPerVideo:
    """How many clips of each video are used.

    Args:
        train: Clips a video offers for training (section 4: 100 for Sports-1M, 50 for UCF-101).
        train_epoch: Clips of each video that one epoch visits; later epochs visit the others.
        validation: Clips a video for validation.
        test: Clips a video for testing (section 4: 20).

    Raises:
        ValueError: If a count is below 1, or an epoch visits more clips than a video offers.
    """

    train: int = 50
    train_epoch: int = 2
    validation: int = 4
    test: int = 20

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                value = getattr(self, field.name)
                raise UserError(f"data.clips_per_video.{field.name} is {value}; it must be 1 or more")
        if self.train_epoch > self.train:
            raise UserError(
                f"data.clips_per_video.train_epoch is {self.train_epoch}, more than the "
                f"{counted(self.train, 'clip')} that a video offers; lower it, or raise data.clips_per_video.train"
            )
