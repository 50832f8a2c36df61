"""Pictures of what a run has just predicted, and of the filters of its network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from benchmark.figures.gallery import Gallery
from benchmark.figures.strips import Opinion, Strip, draw_strips
from benchmark.results.ledger import Ledger
from benchmark.wording import counted

MOST_VIDEOS = 24
_VIDEOS_OF_A_TEST = 3


def convolution_weights(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The kernels of convolutions in a state dict, by name, float32."""
    return {
        name: value.detach().float().cpu().numpy()
        for name, value in state.items()
        if value.ndim in {4, 5} and value.is_floating_point()
    }


def draw_predictions(rows: Sequence[tuple[int, str | None, np.ndarray | None]], data: Any, top: int, path: Path) -> str:
    """Draw predicted videos, 24 drawn at random where there are more; returns what there is to say of it.

    Args:
        rows: Number in the index, reason of a failure, and class probabilities (K,) of each video that was read.
        data: The data module.
        top: Classes a video.
        path: A .png file.
    """
    known = [(row, scores) for row, _, scores in rows if scores is not None]
    if not known:
        return f"not drawn: {path}, as no video could be read"
    places = np.random.default_rng(0).permutation(len(known))[:MOST_VIDEOS]
    strips = []
    for row, scores in (known[place] for place in sorted(places.tolist())):
        name = data.index.table["video_id"][row].as_py()
        truth = tuple(data.class_names[number] for number in data.index.table["labels"][row].as_py())
        opinion = Opinion.of(scores, data.class_names, top=top)
        strips.append(Strip(name, data.shown_frames(name), truth, (opinion,)))
    draw_strips(strips, path)
    drawn = f": {len(strips)} of {counted(len(known), 'video')}, at random" if len(known) > len(strips) else ""
    return f"wrote {path}{drawn}"


def draw_test(folder: Path, name: str, ledger: Ledger, data: Any, state: Mapping[str, Tensor]) -> Gallery:
    """Draw a finished test for a logger: filters, a few predictions, confusions.

    Args:
        folder: For the files.
        name: Of the test.
        ledger: Its predictions.
        data: The data module.
        state: The network's state dict.
    """
    gallery = Gallery(folder, videos=_VIDEOS_OF_A_TEST)
    gallery.filters(name, convolution_weights(state))
    gallery.predictions(name, ledger, data.shown_frames)
    gallery.confusions(name, ledger)
    return gallery
