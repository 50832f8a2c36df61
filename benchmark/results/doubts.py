"""Says where a ledger's predictions look like those of a network that has learned nothing."""

import numpy as np
from scipy.stats import binomtest

from benchmark.results.ledger import Ledger

_LEVEL = 0.05


def doubts(ledger: Ledger) -> str:
    """One sentence where all videos are called one class or Hit@1 is at chance, else nothing."""
    scored = np.flatnonzero(ledger.labels.any(1) & np.isfinite(ledger.scores).all(1))
    if len(scored) < 2:
        return ""
    best, labels = ledger.scores[scored].argmax(1), ledger.labels[scored]
    if (labels.argmax(1) != labels[0].argmax()).any() and (best == best[0]).all():
        return f"all {len(scored):,} videos are called {ledger.info.class_names[best[0]]}; the network tells none apart"
    hits, chance = labels[np.arange(len(scored)), best].sum(), float(labels.mean())
    if binomtest(int(hits), len(scored), chance, alternative="greater").pvalue > _LEVEL:
        return f"video Hit@1 is no better than chance ({chance:.1%}) on these {len(scored):,} videos"
    return ""
