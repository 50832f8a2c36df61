"""Each test scores the pinned videos, and its record says how far they came out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.plugins.precision import HalfPrecision, MixedPrecision, Precision

from benchmark.data.pins import OFFSETS, Reference, pinned_videos
from benchmark.results.pins import PROBABILITY
from benchmark.results.record import Record
from benchmark.runs import pins
from benchmark.runs.pins import Setting, measure, pinned_network

CPU = torch.device("cpu")


def plain() -> Setting:
    return Setting("pyav", CPU, "32-true", Precision())


def test_the_probabilities_are_what_the_version_says() -> None:
    found = measure(plain())
    assert (found.grey_levels, found.largest_pixel, found.video) == (0, 0, None)
    assert found.probability < 1e-5
    assert found.is_within


@pytest.mark.parametrize(
    ("precision", "plugin"),
    [("bf16-mixed", MixedPrecision("bf16-mixed", "cpu")), ("bf16-true", HalfPrecision("bf16-true"))],
)
def test_low_precision_is_shown_to_be_small(precision: str, plugin: Precision) -> None:
    found = measure(Setting("pyav", CPU, precision, plugin))
    assert 1e-5 < found.probability <= PROBABILITY
    assert found.grey_levels == 0


def test_probabilities_against_the_mean_of_views_by_hand() -> None:
    """The four views cut by hand, each scored alone."""
    network, reference = pinned_network(), Reference.read()
    for row, video in enumerate(pinned_videos("pyav")):
        if row % 12:
            continue
        clips = torch.from_numpy(video.scored)
        corners = clips[:, :, :178, :178], clips[:, :, 22:, 22:]
        views = [view for corner in corners for view in (corner, corner.flip(3))]
        with torch.inference_mode():
            expected = torch.stack([network(view).softmax(1) for view in views]).mean(0)
        np.testing.assert_allclose(reference.probabilities[row], expected, atol=1e-5)
        if row == 36:
            return


def test_the_network_is_tiny_reads_the_pinned_frames_and_disturbs_nothing() -> None:
    before = torch.get_rng_state()
    one, other = pinned_network().state_dict(), pinned_network()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(values, other.state_dict()[name]) for name, values in one.items())
    assert other.frame_offsets == OFFSETS
    assert sum(values.numel() for values in one.values()) < 300_000


def test_they_are_scored_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    first = measure(plain())
    monkeypatch.setattr(pins, "pinned_videos", lambda decoder: pytest.fail("read again"))
    assert measure(plain()) is first


def test_the_record_of_a_test_says_how_far_they_came_out(tested: Path) -> None:
    found = Record.read(tested).pins
    assert found is not None
    assert (found.version, found.decoder, found.grey_levels, found.video) == (1, "pyav", 0, None)
    assert found.probability < 1e-5
