"""The nine systems of the paper's Table 1, each with what makes it here. A system is added by a line in `ROWS`."""

import dataclasses
import importlib.util

from benchmark.shipped import configurations


@dataclasses.dataclass(frozen=True)
class Row:
    """One system.

    Args:
        key: Its short name, also of folders.
        title: Its row in the paper's Table 1.
        config: Name of the configuration that `fit` and `test` take; empty for an average.
        members: Keys of the rows whose tests are averaged.
        is_network: Whether it is one of the paper's networks, with a width and the paper's own recipe.
    """

    key: str
    title: str
    config: str = ""
    members: tuple[str, ...] = ()
    is_network: bool = True

    @property
    def is_here(self) -> bool:
        """Whether this version has what it takes."""
        if self.config:
            return self.config in configurations()
        return importlib.util.find_spec(f"benchmark.commands.{AVERAGE}") is not None


AVERAGE = "average"
"""The verb that averages finished tests: `average FOLDER... --run_dir FOLDER`."""

SINGLE, MULTIRES, FOVEA, CONTEXT = "single_frame", "multires", "fovea", "context"
EARLY, LATE, SLOW = "early_fusion", "late_fusion", "slow_fusion"
HISTOGRAMS, CNN_AVERAGE = "histograms", "cnn_average"

ROWS = (
    Row(HISTOGRAMS, "feature histograms + neural network", "histograms", is_network=False),
    Row(SINGLE, "single-frame", SINGLE),
    Row(MULTIRES, "single-frame, multires", MULTIRES),
    Row(FOVEA, "single-frame, fovea only", FOVEA),
    Row(CONTEXT, "single-frame, context only", CONTEXT),
    Row(EARLY, "early fusion", EARLY),
    Row(LATE, "late fusion", LATE),
    Row(SLOW, "slow fusion", SLOW),
    Row(
        CNN_AVERAGE,
        "average of single, early, late and slow",
        members=(SINGLE, EARLY, LATE, SLOW),
        is_network=False,
    ),
)
"""In the order of the paper's table."""
