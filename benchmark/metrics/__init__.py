"""Scores with their descriptors, their torchmetrics, and throughput; imports nothing else of this package.

Only what needs no torch is imported here, so that results can be read without it.
"""

from benchmark.metrics.descriptors import Predictions, Score, add_score, known_scores

__all__ = ["Predictions", "Score", "add_score", "known_scores"]
