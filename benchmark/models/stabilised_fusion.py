"""Slow fusion of stabilised frames: the camera's own motion is taken out before time is joined.

Where the camera moves, the paper saw its motion-aware networks do worse (section 4.1). A tripod's clip is left as it
is; in a moving camera's clip the motion of things against the scene remains.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmark.models.slow_fusion import SlowFusion

_CORNERS = 200
_FEWEST = 12
"""Tracks that must agree on one motion; fewer say more about a moving thing than about the camera."""
_AGREEING = 0.5
_STILL = 0.1
"""Motion in pixels, at the picture's corners, below which interpolating would only blur."""


class StabilisedFusion(SlowFusion):
    """Slow fusion in which each frame is first moved to where the camera was in the middle of the clip.

    The global motion is a shift, turn and zoom fitted to tracked corners, so it costs time on the CPU for every clip.
    """

    def forward_features(self, clips: Tensor) -> Tensor:
        """(B, 10, S, S, 3) uint8 RGB to what the fully connected layers take, (B, F)."""
        still = np.stack([stabilise(clip) for clip in clips.cpu().numpy()]) if len(clips) else clips.cpu().numpy()
        return super().forward_features(torch.from_numpy(still).to(clips.device))


def stabilise(frames: np.ndarray) -> np.ndarray:
    """Move each frame of a clip to where the camera was in its middle frame.

    A frame whose motion cannot be told (too few corners that move alike) stays as it is. What a moved frame does not
    show is filled with the edge's pixels.

    Args:
        frames: (T, H, W, 3) uint8 RGB.

    Returns:
        (T, H, W, 3) uint8 RGB.
    """
    middle = len(frames) // 2
    grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames]
    corners = cv2.goodFeaturesToTrack(grey[middle], _CORNERS, 0.01, 5)
    if corners is None or len(corners) < _FEWEST:
        return frames
    return np.stack(
        [
            frame if np.array_equal(here, grey[middle]) else _moved_back(frame, _motion(grey[middle], here, corners))
            for frame, here in zip(frames, grey, strict=True)
        ]
    )


def _motion(reference: np.ndarray, frame: np.ndarray, corners: np.ndarray) -> np.ndarray | None:
    """The (2, 3) matrix that takes places in the reference to those in a frame; None if it cannot be told."""
    places, found = _tracked(reference, frame, corners)
    # Tracked there and back again: what does not return was lost.
    back, returned = _tracked(frame, reference, places)
    kept = found & returned & (np.abs(back - corners).max(axis=(1, 2)) < 0.5)
    if kept.sum() < _FEWEST:
        return None
    matrix, agreeing = cv2.estimateAffinePartial2D(corners[kept], places[kept], ransacReprojThreshold=1.0)
    if matrix is None or agreeing.sum() < max(_FEWEST, _AGREEING * kept.sum()):
        return None
    return np.asarray(matrix)


def _tracked(first: np.ndarray, second: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points (n, 1, 2) of one picture lie in another, and which of them were found, (n,) bool."""
    places, found, _ = cv2.calcOpticalFlowPyrLK(
        first, second, points, np.empty_like(points), winSize=(15, 15), maxLevel=3
    )
    return np.asarray(places), np.asarray(found).ravel().astype(bool)


def _moved_back(frame: np.ndarray, motion: np.ndarray | None) -> np.ndarray:
    if motion is None:
        return frame
    height, width = frame.shape[:2]
    edges = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]])
    if np.abs(edges @ motion.T - edges[:, :2]).max() < _STILL:
        return frame
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(
        np.ascontiguousarray(frame), motion, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved)
