"""Reads and scores the pinned videos as a test does, and says how far they come out from the protocol's version.

Letters: B clips, K classes.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.plugins.precision import Precision

from benchmark.clip import ClipBatch
from benchmark.data.decode import DecoderName
from benchmark.data.pins import SCORED_CLIPS, PinnedVideo, Reference, pinned_videos
from benchmark.models import LateFusion
from benchmark.protocol import TEST_VIEWS, VERSION
from benchmark.results.pins import Pins

_CLASSES = 6
_WIDTH = 0.03  # of the paper's channel counts


@dataclasses.dataclass(frozen=True)
class Setting:
    """What may change pixels or probabilities of a test.

    Args:
        decoder: That reads.
        device: That scores.
        precision: Name of the arithmetic.
        plugin: That makes it so.
    """

    decoder: DecoderName
    device: torch.device
    precision: str
    plugin: Precision = dataclasses.field(compare=False)


def deviation(trainer: L.Trainer) -> Pins:
    """How far the pinned videos come out in a test; worked out once a process."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    decoder: DecoderName = getattr(data, "decoder", "pyav")
    device = trainer.strategy.root_device
    return measure(Setting(decoder, device, str(trainer.precision), trainer.precision_plugin))


@functools.lru_cache
def measure(setting: Setting) -> Pins:
    """Read and score all pinned videos."""
    reference, network = Reference.read(), pinned_network().to(setting.device)
    setting.plugin.convert_module(network)  # in place
    videos = list(pinned_videos(setting.decoder))
    frames = [(*reference.deviation(video), video.name) for video in videos]
    worst = max(frames)
    away = np.abs(probabilities(videos, network, setting) - reference.probabilities).max()
    return Pins(
        version=VERSION,
        decoder=setting.decoder,
        grey_levels=worst[0],
        largest_pixel=max(largest for _, largest, _ in frames),
        probability=float(away) if np.isfinite(away) else 1.0,
        video=worst[2] if worst[0] else None,
    )


def pinned_network() -> LateFusion:
    """A tiny network with two streams and two frames, whose weights are the same everywhere."""
    with torch.random.fork_rng(devices=[]):
        network = LateFusion(_CLASSES, resolution="multires", width=_WIDTH).eval()
    draw = np.random.RandomState(2014)  # whose numbers stay what they are in any NumPy
    for values in network.state_dict().values():
        scale = np.sqrt(2 / max(values[0].numel(), 1)) if values.ndim > 1 else 0.1
        values.copy_(torch.from_numpy(scale * draw.standard_normal(values.shape)))
    return network.requires_grad_(False)


def probabilities(videos: Sequence[PinnedVideo], network: LateFusion, setting: Setting) -> np.ndarray:
    """(videos by the protocol that counts frames, SCORED_CLIPS, K) float32, the mean over the test's views."""
    read = [video for video in videos if not video.counts_seconds]
    frames = torch.from_numpy(np.concatenate([video.scored for video in read]))
    numbers = torch.arange(len(frames))
    batch = ClipBatch(
        frames=frames,
        labels=torch.zeros(len(frames), _CLASSES),
        rows=numbers // SCORED_CLIPS,
        clips=numbers % SCORED_CLIPS,
        starts=torch.zeros_like(numbers),
        padded=torch.zeros_like(numbers, dtype=torch.bool),
        views=TEST_VIEWS,
    ).to(setting.device)
    with torch.no_grad(), setting.plugin.test_step_context():
        scores = network.clip_probabilities(batch)
    return scores.float().cpu().numpy().reshape(len(read), SCORED_CLIPS, _CLASSES)


def reference_now() -> Reference:
    """What a new version would say: the pinned videos read with PyAV, scored by the processor in float32."""
    setting = Setting("pyav", torch.device("cpu"), "32-true", Precision())
    videos = list(pinned_videos("pyav"))
    return Reference.of(videos, probabilities(videos, pinned_network(), setting))
