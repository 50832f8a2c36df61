"""What an average of networks costs, and each of them by itself."""

import warnings

from benchmark.cost import gflop_per_clip
from benchmark.models.average import Average
from benchmark.runs.facts import network_title
from benchmark.runs.trainer import Trainer
from benchmark.speed.multires import Step, in_turns
from benchmark.speed.report import Scoring


def measure_scoring(model: Average, trainer: Trainer, batch_size: int, *, steps: int, rounds: int) -> Scoring:
    """Time the average and its members on noise, in turns.

    Args:
        model: The average.
        trainer: Chooses device and precision.
        batch_size: Clips a batch.
        steps: Batches of each in all, shared among the rounds.
        rounds: Number of rounds.
    """
    titles = [network_title(str(part.shape["class"]), part.shape) for part in model.parts]
    ways = {"average": Step(model, trainer, batch_size)}
    for number, (title, member) in enumerate(zip(titles, model.networks, strict=True), 1):
        ways[f"{number}: {title}"] = Step(member, trainer, batch_size)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*You are trying to `self.log\\(\\)`.*")  # there is nobody to log to
        whole, *members = in_turns(ways, "testing", steps=max(1, steps // rounds), rounds=rounds).values()
    return Scoring(str(trainer.precision), batch_size, whole, tuple(members), gflop_per_clip(model))
