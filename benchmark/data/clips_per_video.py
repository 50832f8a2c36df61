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
        train_together: Of these, clips that come next to each other, so that a batch decodes their video once for all
            of them; 1 mixes all clips of an epoch.
        validation: Clips a video for validation.
        test: Clips a video for testing (section 4: 20).

    Raises:
        UserError: If a count is below 1, an epoch visits more clips than a video offers, or its clips are no multiple
            of those that come together.
    """

    train: int = 50
    train_epoch: int = 2
    train_together: int = 1
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
        if self.train_epoch % self.train_together:
            raise UserError(
                f"data.clips_per_video.train_together is {self.train_together}, which does not divide the "
                f"{counted(self.train_epoch, 'clip')} of a video in an epoch; choose a divisor of "
                "data.clips_per_video.train_epoch, such as that number itself"
            )
