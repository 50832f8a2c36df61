"""One process of a distributed scoring run; started by `test_distributed.py` with RANK and the like set.

Letters: B clips, K classes.
"""

import datetime
import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from benchmark.metrics.classification import ClassificationScores

CLASSES = 7
GROUPS = {"first": [0, 1, 2], "second": [3, 4], "nobody": [6]}
# For each scenario the rank that scores each batch; the last batch has no labels.
SCENARIOS: dict[str, list[int | None]] = {
    "both": [0, 1, 1, 0, 1],
    "first_has_none": [1, 1, 1, 1, 1],
    "second_has_none": [0, 0, 0, 0, 0],
    "second_has_no_label": [0, 0, 0, 0, 1],
    "nobody_has_any": [None] * 5,
}


def batches() -> list[tuple[Tensor, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for number in range(5):
        rows = torch.arange(4).repeat_interleave(3) + 4 * number
        probabilities = torch.rand(12, CLASSES, generator=generator).round(decimals=1)
        labels = (torch.rand(4, CLASSES, generator=generator) < 0.4).float().repeat_interleave(3, dim=0)
        labels[:, 6] = 0
        made.append((probabilities, labels * (number < 4), rows))
    return made


def plain(values: dict[str, Tensor]) -> dict[str, str]:
    """Exact and with NaN equal to itself."""
    return {name: float(value).hex() for name, value in values.items()}


def scores_of(chosen: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, str]:
    """The scores of these batches in one process."""
    metric = ClassificationScores(CLASSES, GROUPS)
    for batch in chosen:
        metric.update(*batch)
    return plain(metric.compute())


def distributed_scores(rank: int) -> dict[str, dict[str, str]]:
    """The scores of every scenario, and of a scoring that goes on on one rank after all have computed."""
    metric = ClassificationScores(CLASSES, GROUPS)
    found: dict[str, dict[str, str]] = {}
    for name, owners in SCENARIOS.items():
        for batch, owner in zip(batches(), owners, strict=True):
            if owner == rank:
                metric.update(*batch)
        found[name] = plain(metric.compute())
        metric.reset()
    for number, batch in enumerate(batches()):
        if rank == 0:
            metric.update(*batch)
        found[f"first_{number + 1}"] = plain(metric.compute())
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
    Path(sys.argv[1]).write_text(json.dumps(distributed_scores(dist.get_rank())), "utf-8")
    dist.destroy_process_group()
