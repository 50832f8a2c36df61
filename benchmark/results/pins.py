"""What a record says of the pinned videos: how far they came out from what the protocol's version says."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

GREY_LEVELS = 2.0
"""Largest mean difference of a frame's values, 0 to 255, at which results are still ranked together."""

PROBABILITY = 0.01
"""The same of a class probability of the pinned network, the mean over a clip's views."""


class Pins(BaseModel):
    """The pinned videos, read and scored by the decoder, on the device and in the precision of a test.

    Args:
        version: Of the protocol that counts frames, with which they were compared.
        decoder: That read them.
        grey_levels: Largest mean difference of a frame's values, 0 to 255; 255 for a video that could not be read or
            whose clips lie elsewhere.
        largest_pixel: Largest difference of a single value.
        probability: Largest difference of a class probability.
        video: Whose frames differ most; None where all are equal.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    version: int = Field(ge=1, le=2**53)
    decoder: Literal["pyav", "torchcodec"]
    grey_levels: float = Field(ge=0, le=255)
    largest_pixel: int = Field(ge=0, le=255)
    probability: float = Field(ge=0, le=1)
    video: Annotated[str, Field(pattern=r"^[A-Za-z0-9_., -]{1,80}$")] | None

    @property
    def is_within(self) -> bool:
        """Whether decoder, device, precision and libraries are shown not to matter."""
        return self.grey_levels <= GREY_LEVELS and self.probability <= PROBABILITY

    def __str__(self) -> str:
        frames = f"frames of the pinned videos differ by {self.grey_levels:.2g} grey levels"
        where = "" if self.video is None else f" ({self.video})"
        return f"{frames}{where}, probabilities by {self.probability:.2g}"
