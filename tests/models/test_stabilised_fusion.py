from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.models import SlowFusion, StabilisedFusion
from benchmark.models.stabilised_fusion import stabilise
from tests.models.plain import random_clips

SIDE, EDGE = 120, 24


def scene(side: int = 240, seed: int = 0) -> np.ndarray[Any, Any]:
    """A textured picture, (side, side, 3) uint8, with corners on every scale that a tracker can hold on to."""
    rng = np.random.default_rng(seed)
    coarse, fine = (
        cv2.resize(rng.integers(0, 256, (n, n, 3)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
        for n in (side // 20, side // 6)
    )
    return np.clip((coarse + fine) / 2, 0, 255).astype(np.uint8)


def views(motions: list[np.ndarray[Any, Any]], *, side: int = SIDE) -> np.ndarray[Any, Any]:
    """What a camera sees whose picture is moved by each (2, 3) matrix, (T, side, side, 3)."""
    world = scene()
    edge = (len(world) - side) // 2
    moved = [
        cv2.warpAffine(world, motion, world.shape[:2], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        for motion in motions
    ]
    return np.stack([picture[edge : edge + side, edge : edge + side] for picture in moved])


def shift(x: float, y: float) -> np.ndarray[Any, Any]:
    return np.array([[1.0, 0, x], [0, 1, y]])


def difference(clip: np.ndarray[Any, Any]) -> float:
    """Largest mean difference of a frame to the middle one, away from the edges, in grey levels."""
    inner = clip[:, EDGE:-EDGE, EDGE:-EDGE].astype(float)
    return float(np.abs(inner - inner[len(clip) // 2]).mean((1, 2, 3)).max())


def test_a_shifting_camera_is_held_still() -> None:
    clip = views([shift(2.0 * t, -1.0 * t) for t in range(-3, 4)])
    assert difference(clip) > 15
    still = stabilise(clip)
    assert difference(still) < 1.5
    np.testing.assert_array_equal(still[3], clip[3])
    assert still.dtype == np.uint8
    assert still.shape == clip.shape


def test_a_turning_and_zooming_camera_is_held_still() -> None:
    clip = views([cv2.getRotationMatrix2D((120, 120), 2.0 * t, 1 + 0.02 * t) for t in range(-2, 3)])
    assert difference(clip) > 15
    assert difference(stabilise(clip)) < 3


def test_the_motion_of_a_thing_stays() -> None:
    clip = views([shift(2.0 * t, 0) for t in range(-3, 4)])
    for t, frame in enumerate(clip):  # crosses the picture by 5 pixels a frame, against the camera's 2
        frame[50:70, 30 + 5 * t : 50 + 5 * t] = (255, 0, 0)
    still = stabilise(clip)
    red = [np.nonzero((frame[60, :, 0] > 200) & (frame[60, :, 2] < 60))[0].mean() for frame in still]
    np.testing.assert_allclose(np.diff(red), 3.0, atol=0.6)


def test_identical_frames_are_left_alone() -> None:
    clip = views([shift(0, 0)] * 4)
    np.testing.assert_array_equal(stabilise(clip), clip)


def test_noise_of_a_still_camera_is_not_blurred() -> None:
    clip = views([shift(0, 0)] * 3)
    noisy = np.clip(clip + np.random.default_rng(1).integers(-2, 3, clip.shape), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(stabilise(noisy), noisy)


@pytest.mark.parametrize("what", ["flat", "unrelated"])
def test_motion_that_cannot_be_told_is_left_alone(what: str) -> None:
    flat = np.full((3, SIDE, SIDE, 3), 90, np.uint8) + np.arange(3, dtype=np.uint8)[:, None, None, None]
    unrelated = np.stack([scene(SIDE, seed) for seed in range(3)])
    clip = {"flat": flat, "unrelated": unrelated}[what]
    np.testing.assert_array_equal(stabilise(clip), clip)


def built() -> tuple[StabilisedFusion, SlowFusion]:
    tested, plain = StabilisedFusion(5, width=0.06).eval(), SlowFusion(5, width=0.06).eval()
    torch.nn.init.normal_(list(tested.parameters())[-2], std=0.5)
    plain.load_state_dict(tested.state_dict())
    return tested, plain


def test_it_is_slow_fusion_of_the_stabilised_clip() -> None:
    tested, plain = built()
    assert tested.frame_offsets == plain.frame_offsets
    shaken = views([shift(3.0 * (t % 2), 1.5 * t) for t in range(10)], side=170)
    still = np.repeat(shaken[5:6], 10, 0)
    clips = torch.from_numpy(np.stack([shaken, still]))
    with torch.no_grad():
        scores, unstabilised = tested(clips), plain(clips)
        expected: Tensor = plain(torch.from_numpy(np.stack([stabilise(shaken), still])))
    torch.testing.assert_close(scores, expected)
    torch.testing.assert_close(scores[1], unstabilised[1])
    assert (scores[0] - unstabilised[0]).abs().max() > 0.01


def test_a_batch_without_clips_and_one_with_one() -> None:
    tested, _ = built()
    nothing = tested(random_clips(0, 10, 170))
    assert nothing.shape == (0, 5)
    gradients = torch.autograd.grad(nothing.sum(), list(tested.parameters()))
    assert not any(gradient.any() for gradient in gradients)
    assert tested(random_clips(1, 10, 170)).shape == (1, 5)
