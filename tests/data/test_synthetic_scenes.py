"""The design is measured, not assumed: linear probes on decoded frames, trained and tested on other source groups."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchmark.data.decode import open_video
from benchmark.data.preprocess import square_rgb
from benchmark.data.synthetic_files import generate
from benchmark.data.synthetic_plan import CLASSES, PlannedVideo, members, plan
from benchmark.data.synthetic_scenes import FRAMES, draw_frames

SEED = 0
SOURCE_GROUPS = 6
Features = Callable[[torch.Tensor], torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Frames:
    """Decoded frames: N times t consecutive ones (N, t, 200, 200, 3) uint8, with class names and source groups."""

    pixels: np.ndarray
    names: np.ndarray
    sources: np.ndarray


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "set"
    generate(folder, videos(), seed=SEED)
    return folder


def videos() -> tuple[PlannedVideo, ...]:
    """Videos with one label; those with two are a mixture by intention."""
    return tuple(video for video in plan(SEED, SOURCE_GROUPS) if len(video.classes) == 1)


def decode(folder: Path, names: Sequence[str], starts: int, length: int) -> Frames:
    """Frames of all videos of some classes, `length` consecutive ones at random starts, spread over the video."""
    rng = np.random.default_rng(1)
    pixels, labels, sources = [], [], []
    for video in videos():
        if video.classes[0] not in names:
            continue
        step = (FRAMES - length) // starts
        firsts = [step * n + int(rng.integers(step)) for n in range(starts)]
        numbers = sorted({first + t for first in firsts for t in range(length)})
        with open_video(folder / f"videos/{video.video_id}.mp4") as opened:
            decoded = {number: square_rgb(picture, 200) for number, picture in opened.read(numbers)}
        pixels += [np.stack([decoded[first + t] for t in range(length)]) for first in firsts]
        labels += [video.classes[0]] * starts
        sources += [video.source] * starts
    return Frames(np.stack(pixels), np.array(labels), np.array(sources))


def only(frames: Frames, names: Sequence[str]) -> Frames:
    """The frames of some of the classes."""
    kept = np.isin(frames.names, names)
    return Frames(frames.pixels[kept], frames.names[kept], frames.sources[kept])


def whole(frames: Frames) -> torch.Tensor:
    """(N, 3, 178, 178), scaled as networks see it: the first of the frames, cut at random places."""
    rng = np.random.default_rng(2)
    corners = rng.integers(0, 23, size=(len(frames.pixels), 2))
    cut = [x[0, top : top + 178, left : left + 178] for x, (top, left) in zip(frames.pixels, corners, strict=True)]
    return (torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).float() - 117) / 58


def fovea(frames: Frames) -> torch.Tensor:
    """(N, 3, 89, 89): the centre at full detail."""
    return whole(frames)[:, :, 44:133, 44:133]


def context(frames: Frames) -> torch.Tensor:
    """(N, 3, 89, 89): everything at half the resolution."""
    return F.avg_pool2d(whole(frames), 2)


def raw_pixels(x: torch.Tensor) -> torch.Tensor:
    return x.mean(1).flatten(1)


def random_convolutions(x: torch.Tensor) -> torch.Tensor:
    """Mean and greatest responses of 48 random 11x11 filters with stride 3, in 3x3 cells."""
    filters = torch.randn(48, 3, 11, 11, generator=torch.Generator().manual_seed(3)) / 19
    responses = F.conv2d(x, filters, stride=3).relu()
    return torch.cat([F.adaptive_avg_pool2d(responses, 3), F.adaptive_max_pool2d(responses, 3)], 1).flatten(1)


def local_spectra(x: torch.Tensor) -> torch.Tensor:
    """Spectra of 16x16 windows, and moments of the gradients up to the third, which trails would skew."""
    grey = x.mean(1)
    windows = grey.unfold(1, 16, 8).unfold(2, 16, 8)
    spectra = torch.fft.rfft2(windows * torch.hann_window(16)[:, None] * torch.hann_window(16)).abs().mean((1, 2))
    down, right = grey[:, 1:, :-1] - grey[:, :-1, :-1], grey[:, :-1, 1:] - grey[:, :-1, :-1]
    moments = torch.stack([down**2, right**2, down * right, down**3, right**3, down.abs(), right.abs()], 1)
    return torch.cat([torch.log(spectra + 1e-3).flatten(1), F.adaptive_avg_pool2d(moments, 3).flatten(1)], 1)


def local_motion(frames: Frames) -> torch.Tensor:
    """Change over one frame times gradient, in 4x4 cells: its sign is the direction of motion there."""
    grey = torch.from_numpy(frames.pixels[:, :2]).float().mean(-1)
    change = (grey[:, 1] - grey[:, 0])[:, 1:-1, 1:-1]
    down, right = grey[:, 0, 2:, 1:-1] - grey[:, 0, :-2, 1:-1], grey[:, 0, 1:-1, 2:] - grey[:, 0, 1:-1, :-2]
    return F.adaptive_avg_pool2d(torch.stack([change * down, change * right], 1), 4).flatten(1)


SINGLE_FRAME_FEATURES = [raw_pixels, random_convolutions, local_spectra]


def ridge(train: torch.Tensor, labels: np.ndarray, names: Sequence[str]) -> Callable[[torch.Tensor], np.ndarray]:
    """A linear classifier by ridge regression on standardised features."""
    mean, spread = train.mean(0), train.std(0) + 1e-6
    x = ((train - mean) / spread).double()
    target = torch.from_numpy(np.stack([2.0 * (labels == name) - 1 for name in names], 1))
    kernel = x @ x.T
    ridged = kernel + 1e-2 * kernel.diagonal().mean() * torch.eye(len(x), dtype=torch.float64)
    weights = x.T @ torch.linalg.solve(ridged, target - target.mean(0))

    def predict(test: torch.Tensor) -> np.ndarray:
        scores = ((test - mean) / spread).double() @ weights + target.mean(0)
        answers: np.ndarray = np.array(names)[scores.argmax(1).numpy()]
        return answers

    return predict


def accuracy(features: torch.Tensor, frames: Frames, shown: torch.Tensor | None = None) -> float:
    """Share of right answers, each third of the source groups tested once; `shown` replaces the tested features."""
    names, right = np.unique(frames.names).tolist(), []
    for fold in range(3):
        tested = frames.sources % 3 == fold
        predict = ridge(features[torch.from_numpy(~tested)], frames.names[~tested], names)
        answers = predict((features if shown is None else shown)[torch.from_numpy(tested)])
        right.append(answers == frames.names[tested])
    return float(np.concatenate(right).mean())


@pytest.fixture(scope="module")
def motion(folder: Path) -> Frames:
    return decode(folder, members("motion"), 8, 2)


@pytest.fixture(scope="module")
def detail(folder: Path) -> Frames:
    return decode(folder, members("detail"), 2, 1)


@pytest.fixture(scope="module")
def surround(folder: Path) -> Frames:
    return decode(folder, members("context"), 2, 1)


@pytest.mark.parametrize("pair", [("Expand", "Contract"), ("Rise", "Sink")])
@pytest.mark.parametrize("features", SINGLE_FRAME_FEATURES)
def test_no_single_frame_tells_the_direction(motion: Frames, pair: tuple[str, str], features: Features) -> None:
    # About 190 frames: the upper 1% of guessing at random begins at 59%.
    frames = only(motion, pair)
    assert accuracy(features(whole(frames)), frames) <= 0.6


def test_the_probe_works_where_frames_differ(motion: Frames) -> None:
    frames = only(motion, ("Expand", "Rise"))
    assert accuracy(random_convolutions(whole(frames)), frames) >= 0.97


@pytest.mark.parametrize("pair", [("Expand", "Contract"), ("Rise", "Sink")])
def test_two_frames_tell_the_direction_also_when_mirrored(motion: Frames, pair: tuple[str, str]) -> None:
    frames = only(motion, pair)
    mirrored = dataclasses.replace(frames, pixels=frames.pixels[:, :, :, ::-1].copy())
    features = local_motion(frames)
    assert accuracy(features, frames) >= 0.95
    assert accuracy(features, frames, shown=local_motion(mirrored)) >= 0.95


@pytest.mark.parametrize(("forwards", "backwards"), [("Expand", "Contract"), ("Rise", "Sink")])
def test_decoded_frames_are_the_same_ones_backwards(folder: Path, forwards: str, backwards: str) -> None:
    for video in (video for video in videos() if video.classes[0] == forwards and video.source <= 2):
        pictures = []
        for name in (forwards, backwards):
            with open_video(folder / f"videos/{video.video_id.replace(forwards, name)}.mp4") as opened:
                luma = [picture.yuv[0] for _, picture in opened.read(range(FRAMES)) if picture.yuv is not None]
            pictures.append(np.stack(luma))
        assert len(pictures[0]) == FRAMES
        np.testing.assert_array_equal(pictures[0], pictures[1][::-1])


@pytest.mark.parametrize("features", SINGLE_FRAME_FEATURES)
def test_half_resolution_hides_detail(detail: Frames, features: Features) -> None:
    assert accuracy(features(context(detail)), detail) <= 0.4


@pytest.mark.parametrize("features", [random_convolutions, local_spectra])
def test_the_fovea_sees_detail_also_when_mirrored(detail: Frames, features: Features) -> None:
    seen = features(fovea(detail))
    assert accuracy(seen, detail) >= 0.95
    assert accuracy(seen, detail, shown=features(fovea(detail).flip(3))) >= 0.95


@pytest.mark.parametrize("features", SINGLE_FRAME_FEATURES)
def test_the_fovea_does_not_see_the_border(surround: Frames, features: Features) -> None:
    assert accuracy(features(fovea(surround)), surround) <= 0.4


def test_half_resolution_sees_the_border_also_when_mirrored(surround: Frames) -> None:
    seen, mirrored = random_convolutions(context(surround)), random_convolutions(context(surround).flip(3))
    assert accuracy(seen, surround) >= 0.95
    assert accuracy(seen, surround, shown=mirrored) >= 0.95


@pytest.mark.parametrize("stream", [fovea, context])
def test_appearance_is_seen_by_both_streams_also_when_mirrored(
    folder: Path, stream: Callable[[Frames], torch.Tensor]
) -> None:
    frames = decode(folder, members("appearance"), 1, 1)
    seen, mirrored = random_convolutions(stream(frames)), random_convolutions(stream(frames).flip(3))
    assert accuracy(seen, frames) >= 0.95
    assert accuracy(seen, frames, shown=mirrored) >= 0.95


@pytest.mark.parametrize("name", members("detail"))
@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_texture_vanishes_in_every_2x2_mean(name: str, corner: tuple[int, int]) -> None:
    """Before encoding, where the rest of the picture is the same: compared with the plain mean of all four classes."""
    chosen = {video.video_id: video for video in videos()}
    reduced = []
    for other in members("detail"):
        luma = next(draw_frames(chosen[f"v_{other}_g01_c01"], SEED))[:240, 40:280].astype(np.float64)
        places = (np.arange(200) + 0.5) * 240 / 200 - 0.5
        rows = np.array([np.interp(places, np.arange(240), row) for row in luma])
        square = np.array([np.interp(places, np.arange(240), column) for column in rows.T]).T
        top, left = corner
        even = square[top : 198 + top, left : 198 + left]
        reduced.append(even.reshape(99, 2, 99, 2).mean((1, 3)))
        assert even.std() > 30
    difference = reduced[members("detail").index(name)] - np.mean(reduced, 0)
    assert abs(difference).max() < 1


def test_the_classes_of_a_group_differ_in_nothing_else() -> None:
    """Context classes are equal pixel for pixel in the centre, and all motion classes move with the same camera."""
    chosen = {video.video_id: video for video in plan(SEED, SOURCE_GROUPS)}
    first = [np.stack(list(draw_frames(chosen[f"v_{name}_g02_c01"], SEED))) for name in members("context")]
    for other in first[1:]:
        np.testing.assert_array_equal(first[0][:, 52:188, 92:228], other[:, 52:188, 92:228])
    for source in range(1, SOURCE_GROUPS + 1):
        for clip in (1, 2):
            for group in set(CLASSES.values()):
                moving = {chosen[f"v_{name}_g{source:02d}_c{clip:02d}"].camera_motion for name in members(group)}
                assert len(moving) == 1
