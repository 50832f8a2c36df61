"""Everything that is measured in one video, frame by frame; what is kept of it does not grow with its length.

Each frame is looked at, or each `stride`-th. Of the descriptors a fixed number is kept, drawn evenly from all frames.
Letters: H height, W width, n descriptors, D numbers of one.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmark.data.decode import DecoderName, open_video
from benchmark.data.preprocess import whole_rgb
from benchmark.histograms.colours import (
    FACE_SIDE,
    MOMENTS_GRID,
    MOST_FACES,
    colour_moments,
    count_faces,
    hue_saturation,
)
from benchmark.histograms.cuboids import CuboidStream
from benchmark.histograms.features import FEATURES
from benchmark.histograms.orientations import BLOCK, Flow, gradients, motions
from benchmark.histograms.textons import SUPPORT, filter_responses

SHORT_SIDE = 120
"""Of the frames in pixels, but for faces."""

FRAMES_BETWEEN_FACES = 25
"""Faces are looked for in one of so many frames: a second, and half the time of all other features together."""

Measure = Callable[[np.ndarray], np.ndarray]
"""Descriptors (n, D) of squares whose upper left pixels (n, 2) are given."""

_GRID = 8  # pixels between blocks, and between textons
_CORNER_QUALITY, _CORNER_DISTANCE = 0.01, 5.0
_PLACES = {feature.name: number for number, feature in enumerate(FEATURES)}
_MOST = {feature.name: feature.most for feature in FEATURES}


@dataclasses.dataclass(frozen=True)
class Local:
    """Descriptors of one feature in one video.

    Args:
        places: (n, 2) float16, across and down, 0 to 1 of the frame.
        values: (n, D) float16.
    """

    places: np.ndarray
    values: np.ndarray


@dataclasses.dataclass(frozen=True)
class Description:
    """What was measured in a video.

    Args:
        local: Descriptors by feature; of `bins` the counts, each a row with the middle of its quadrant.
        frames: Frames of the video.
        made_seconds: Time that it took, decoding included.
    """

    local: dict[str, Local]
    frames: int
    made_seconds: float


def describe_video(path: Path, decoder: DecoderName = "pyav", stride: int = 1) -> Description:
    """Measure all features in a video.

    Args:
        path: The file.
        decoder: Decodes it.
        stride: Frames from one that is looked at to the next.

    Raises:
        DecodeError: If a frame that is looked at is damaged, or the file cannot be read.
    """
    begun = time.perf_counter()
    with open_video(path, decoder) as video:
        numbers = range(0, video.frames, stride)
        looked = _Looked(len(numbers))
        for number, picture in video.read(numbers):
            rgb = whole_rgb(picture, SHORT_SIDE)
            faces = None if number // stride % max(1, FRAMES_BETWEEN_FACES // stride) else whole_rgb(picture, FACE_SIDE)
            looked.add(rgb, faces)
        return Description(looked.end(), video.frames, time.perf_counter() - begun)


class _Looked:
    """Frames looked at so far.

    Args:
        count: How many there will be.
    """

    def __init__(self, count: int) -> None:
        self.count, self.number = count, 0
        self.flow = Flow()
        self.before: np.ndarray | None = None  # brightness of the last frame, (H, W) uint8
        self.cuboids = CuboidStream(_MOST["cuboid"] / count)
        self.kept: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {feature.name: [] for feature in FEATURES}
        self.hues, self.faces = np.zeros((4, 240)), np.zeros((1, MOST_FACES + 1))

    def add(self, rgb: np.ndarray, for_faces: np.ndarray | None) -> None:
        """Measure one frame.

        Args:
            rgb: (H, W, 3) uint8.
            for_faces: The same frame larger, where faces are to be looked for.
        """
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        bright = grey.astype(np.float32) / 255
        edges = [gradients(bright), gradients(_halved(bright))]
        self._grid("hog", [edge.blocks for edge in edges], [edge.bins.shape for edge in edges], BLOCK)
        corners = self._corners(grey)
        self._keep("hog_corners", _middles(corners, BLOCK, grey.shape), edges[0].blocks(corners))
        if self.before is not None:
            flow = self.flow.between(self.before, grey)
            moving = [motions(flow), motions(_halved(flow) / 2)]
            self._grid("hof", [motion.blocks for motion in moving], [motion.bins.shape for motion in moving], BLOCK)
        self._grid("texton", [functools.partial(filter_responses, bright)], [grey.shape], SUPPORT)
        for places, values in self.cuboids.add(bright):
            self._keep("cuboid", (places + 0.5)[:, ::-1] / grey.shape[::-1], values)
        parts = self._drawn("colour_moments", MOMENTS_GRID**2)
        middles = np.stack([parts % MOMENTS_GRID, parts // MOMENTS_GRID], 1)
        self._keep("colour_moments", (middles + 0.5) / MOMENTS_GRID, colour_moments(rgb)[parts])
        self.hues += hue_saturation(rgb)
        if for_faces is not None:
            self.faces[0, min(count_faces(for_faces), MOST_FACES)] += 1
        self.before, self.shape = grey, grey.shape
        self.number += 1

    def end(self) -> dict[str, Local]:
        """All that was kept."""
        for places, values in self.cuboids.end():
            self._keep("cuboid", (places + 0.5)[:, ::-1] / self.shape[::-1], values)
        quadrants = np.array([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]])
        self._keep("hue_saturation", quadrants, self.hues / max(1, self.hues.sum()))
        self._keep("faces", quadrants[:1], self.faces / max(1, self.faces.sum()))
        return {feature.name: _joined(self.kept[feature.name], feature.length) for feature in FEATURES}

    def _keep(self, name: str, places: np.ndarray, values: np.ndarray) -> None:
        self.kept[name].append((places.astype(np.float16), values.astype(np.float16)))

    def _share(self, name: str) -> int:
        """Descriptors to keep of this frame, so that those of all frames together are at most the feature's."""
        most, count = _MOST[name], self.count
        return (self.number + 1) * most // count - self.number * most // count

    def _drawn(self, name: str, candidates: int) -> np.ndarray:
        """Which of a frame's candidates are kept, (n,) int64; a function of the frame's number."""
        source = np.random.default_rng([_PLACES[name], self.number])
        return np.sort(source.choice(candidates, min(candidates, self._share(name)), replace=False))

    def _grid(self, name: str, measures: Sequence[Measure], shapes: Sequence[tuple[int, ...]], side: int) -> None:
        """Measure some of the squares of a grid over a frame in each of several sizes."""
        grids = [_grid_corners(shape, side) for shape in shapes]
        chosen = self._drawn(name, sum(map(len, grids)))
        first = 0
        for measure, grid, shape in zip(measures, grids, shapes, strict=True):
            own = chosen[(chosen >= first) & (chosen < first + len(grid))] - first
            first += len(grid)
            if len(own):
                self._keep(name, _middles(grid[own], side, shape), measure(grid[own]))

    def _corners(self, grey: np.ndarray) -> np.ndarray:
        """Upper left pixels of the blocks around the strongest corners (Shi and Tomasi, 1994), (n, 2) int64."""
        share, half = self._share("hog_corners"), BLOCK // 2
        inner = grey[half : grey.shape[0] - half, half : grey.shape[1] - half]
        found = None
        if share and min(inner.shape) > 0:
            found = cv2.goodFeaturesToTrack(np.ascontiguousarray(inner), share, _CORNER_QUALITY, _CORNER_DISTANCE)
        if found is None:
            return np.empty((0, 2), np.int64)
        return np.asarray(found, np.float32).reshape(-1, 2)[:, ::-1].astype(np.int64)


def _halved(image: np.ndarray) -> np.ndarray:
    """An image of half the size."""
    size = max(1, image.shape[1] // 2), max(1, image.shape[0] // 2)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _grid_corners(shape: tuple[int, ...], side: int) -> np.ndarray:
    """Upper left pixels of squares over a frame, (n, 2) int64: row and column."""
    rows, columns = (np.arange(0, length - side + 1, _GRID) for length in shape[:2])
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)


def _middles(corners: np.ndarray, side: int, shape: tuple[int, ...]) -> np.ndarray:
    """Middles of squares, (n, 2): across and down, 0 to 1 of the frame."""
    middles: np.ndarray = (corners[:, ::-1] + side / 2) / [shape[1], shape[0]]
    return middles


def _joined(parts: Sequence[tuple[np.ndarray, np.ndarray]], length: int) -> Local:
    places = np.concatenate([np.empty((0, 2), np.float16), *(part[0] for part in parts)])
    return Local(places, np.concatenate([np.empty((0, length), np.float16), *(part[1] for part in parts)]))
