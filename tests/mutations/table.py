"""What is broken on purpose: one change of the package's text each, and the tests that have to notice it."""

from typing import NamedTuple

PINS = ("tests/data/test_pins.py", "tests/runs/test_pins.py")


class Mutation(NamedTuple):
    """A change of one file.

    Args:
        part: What it breaks.
        says: The fault in words.
        file: Of the package, below `benchmark/`.
        old: Text that is there once.
        new: What takes its place.
        tests: Files of tests that are about it, run beside those of the pinned videos.
    """

    part: str
    says: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


_SAMPLING = ("tests/data/test_sampling.py", "tests/data/test_dataset.py")
_DECODING = ("tests/data/test_decode.py", "tests/data/test_timeline.py")
_DISPLAY = ("tests/data/test_display.py", "tests/data/test_decode.py")
_GEOMETRY = ("tests/data/test_preprocess.py",)
_VIEWS = ("tests/test_clip.py",)
_LAYERS = ("tests/models/test_layers.py", "tests/models/test_single_frame.py", "tests/models/test_normalisation.py")
_CLASSIFIER = ("tests/models/test_video_classifier.py",)
_VIDEO_SCORES = ("tests/metrics/test_video_scores.py", "tests/metrics/test_classification.py")
_SCORES = ("tests/metrics/test_hit.py", "tests/metrics/test_average_precision.py", "tests/results/test_scores.py")
_BOARDS = ("tests/leaderboard/test_ranking.py",)

MUTATIONS = (
    Mutation(
        "sampler", "the last possible start is never drawn", "data/sampling.py",
        "(max(video_frames - clip_frames, 0) + 1)) >> 64", "(max(video_frames - clip_frames, 1))) >> 64", _SAMPLING,
    ),
    Mutation(
        "sampler", "the bytes of the draw are read the other way round", "protocol.py",
        '.digest(), "little")', '.digest(), "big")', _SAMPLING,
    ),
    Mutation(
        "sampler", "the draw forgets its seed", "protocol.py",
        'f"{sampler_seed}/{video_id}/{clip}"', 'f"{video_id}/{clip}"', _SAMPLING,
    ),
    Mutation(
        "sampler", "a short video begins again instead of repeating its last frame", "data/sampling.py",
        "min(start + offset, video_frames - 1)", "(start + offset) % video_frames", _SAMPLING,
    ),
    Mutation(
        "sampler", "clips come in another order", "data/dataset.py",
        "starts = [plan.start(clip) for clip in clips]", "starts = [plan.start(clip) for clip in reversed(clips)]",
        _SAMPLING,
    ),
    Mutation(
        "sampler", "the frame after the one that is shown", "data/sampling.py",
        '"right") - 1).tolist()', '"right") - 0).clip(max=self.frames - 1).tolist()', _SAMPLING,
    ),
    Mutation(
        "sampler", "the last frame lasts no time", "data/sampling.py",
        "if self.frames > 1 else 0.0", "if self.frames < 1 else 0.0", _SAMPLING,
    ),
    Mutation(
        "decoder", "frames hidden by an edit list count", "data/pyav_video.py",
        "if time is not None and not is_hidden)", "if time is not None)", _DECODING,
    ),
    Mutation(
        "decoder", "frames in the order of their packets", "data/pyav_video.py",
        "shown = sorted(time for time, _, is_hidden in found if time is not None and not is_hidden)",
        "shown = [time for time, _, is_hidden in found if time is not None and not is_hidden]", _DECODING,
    ),
    Mutation(
        "decoder", "times that FFmpeg guesses in AVI are believed", "data/pyav_video.py",
        "and indexed and not guessed and", "and indexed and", _DECODING,
    ),
    Mutation(
        "decoder", "counting begins at 1", "data/pyav_video.py",
        "in enumerate(decoding.frames()):", "in enumerate(decoding.frames(), 1):", _DECODING,
    ),
    Mutation(
        "decoder", "the times of a video that starts late are not counted from its first frame", "data/pyav_video.py",
        "(np.array(shown, np.float64) - shown[0])", "np.array(shown, np.float64)[::-1]", _SAMPLING,
    ),
    Mutation(
        "decoder", "the first frame found is taken, whatever its time", "data/pyav_video.py",
        "            if time == times[position]:\n                yield frame",
        "            if time <= times[position]:\n                yield frame", _DECODING,
    ),
    Mutation(
        "decoder", "mirroring is not seen", "data/display.py",
        "mirrored=a < 0, upside_down=d < 0", "mirrored=False, upside_down=d < 0", _DISPLAY,
    ),
    Mutation(
        "decoder", "quarter turns go the other way", "data/display.py",
        "mirrored=c < 0, upside_down=b < 0", "mirrored=c > 0, upside_down=b > 0", _DISPLAY,
    ),
    Mutation(
        "decoder", "all pixels are taken for square", "data/display.py",
        "return SQUARE_PIXELS if abs(shape - 1) < _ROUNDING else shape", "return SQUARE_PIXELS", _DISPLAY,
    ),
    Mutation(
        "decoder", "full range is taken for limited", "data/display.py",
        "frame.color_range != _FULL_RANGE and ", "", _DISPLAY,
    ),
    Mutation(
        "decoder", "BT.709 is taken for BT.601", "data/display.py",
        " and frame.colorspace in _BT601", "", _DISPLAY,
    ),
    Mutation(
        "resize", "as before \"linear interpolation where an area average comes to nearly the same\"",
        "data/preprocess.py", "length > 1.25 * side", "length > side", _GEOMETRY,
    ),
    Mutation(
        "resize", "that change once more: linear where an area average was", "data/preprocess.py",
        "cv2.INTER_AREA if length > 1.25 * side else cv2.INTER_LINEAR", "cv2.INTER_LINEAR", _GEOMETRY,
    ),
    Mutation(
        "resize", "cubic instead of linear", "data/preprocess.py",
        "1.25 * side else cv2.INTER_LINEAR", "1.25 * side else cv2.INTER_CUBIC", _GEOMETRY,
    ),
    Mutation(
        "resize", "red and blue change places", "data/preprocess.py",
        "cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420", "cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420", _GEOMETRY,
    ),
    Mutation(
        "resize", "U and V change places", "data/preprocess.py",
        "_resize(_centre_square(u), half, chroma[0])\n    _resize(_centre_square(v), half, chroma[1])",
        "_resize(_centre_square(v), half, chroma[0])\n    _resize(_centre_square(u), half, chroma[1])", _GEOMETRY,
    ),
    Mutation(
        "resize", "chroma samples are cut in two", "data/preprocess.py",
        "return short % 2 == 0 and (height - short) % 4 == 0 and (width - short) % 4 == 0", "return short % 2 == 0",
        _GEOMETRY,
    ),
    Mutation(
        "crop", "the square begins at the left edge", "data/preprocess.py",
        "top, left = (height - rows) // 2, (width - columns) // 2",
        "top, left = (height - rows) // 2, 0", _GEOMETRY,
    ),
    Mutation(
        "crop", "the square begins at the upper edge", "data/preprocess.py",
        "top, left = (height - rows) // 2, (width - columns) // 2",
        "top, left = 0, (width - columns) // 2", _GEOMETRY,
    ),
    Mutation(
        "crop", "the square of squeezed pixels", "data/preprocess.py",
        "max(round(short / pixel_shape), 1)", "max(round(short), 1)", (*_GEOMETRY, *_DISPLAY),
    ),
    Mutation(
        "crop", "the lower right view one pixel off", "clip.py",
        '"lower_right": (height - side, width - side)', '"lower_right": (height - side - 1, width - side)', _VIEWS,
    ),
    Mutation(
        "crop", "the upper left view is the upper right one", "clip.py",
        '"upper_left": (0, 0)', '"upper_left": (0, width - side)', _VIEWS,
    ),
    Mutation(
        "crop", "the centre view rounds up", "clip.py",
        '"centre": ((height - side) // 2, (width - side) // 2)',
        '"centre": ((height - side + 1) // 2, (width - side + 1) // 2)', _VIEWS,
    ),
    Mutation(
        "flip", "views are not mirrored", "clip.py",
        'return crop.flip(3) if view.endswith("_flipped") else crop', "return crop", _VIEWS,
    ),
    Mutation(
        "flip", "views are turned upside down", "clip.py",
        "crop.flip(3) if view", "crop.flip(2) if view", _VIEWS,
    ),
    Mutation(
        "flip", "time is mirrored", "clip.py",
        "crop.flip(3) if view", "crop.flip(1) if view", _VIEWS,
    ),
    Mutation(
        "flip", "a quarter of the training clips is mirrored", "data/preprocess.py",
        "is_mirrored = rng.random() < 0.5", "is_mirrored = rng.random() < 0.25", _GEOMETRY,
    ),
    Mutation(
        "normalisation", "another mean", "models/layers.py",
        "PIXEL_MEAN = 117.0", "PIXEL_MEAN = 116.0", _LAYERS,
    ),
    Mutation(
        "normalisation", "the mean is not taken off the context", "models/layers.py",
        "exact.sub_(4 * PIXEL_MEAN)", "exact.sub_(0 * PIXEL_MEAN)", _LAYERS,
    ),
    Mutation(
        "normalisation", "pixels keep their scale", "models/layers.py",
        ".sub_(PIXEL_MEAN).div_(self.pixel_scale)", ".sub_(PIXEL_MEAN)", _LAYERS,
    ),
    Mutation(
        "normalisation", "the fovea one pixel off the centre", "models/layers.py",
        "edge = (clips.shape[2] - FOVEA_SIDE) // 2", "edge = (clips.shape[2] - FOVEA_SIDE) // 2 + 1", _LAYERS,
    ),
    Mutation(
        "normalisation", "responses are normalised over one neighbour less", "models/normalisation.py",
        "distance <= size // 2", "distance < size // 2", _LAYERS,
    ),
    Mutation(
        "averaging", "the best view instead of the mean of views", "models/video_classifier.py",
        "torch.stack(views).mean(0)", "torch.stack(views).amax(0)", _CLASSIFIER,
    ),
    Mutation(
        "averaging", "the probabilities of a mean instead of the mean of probabilities", "models/video_classifier.py",
        "self.input_side)).float().softmax(1) for view in batch.views]\n        return torch.stack(views).mean(0)",
        "self.input_side)).float() for view in batch.views]\n        return torch.stack(views).mean(0).softmax(1)",
        _CLASSIFIER,
    ),
    Mutation(
        "averaging", "the last view is left out", "models/video_classifier.py",
        "for view in batch.views]\n        return torch.stack",
        "for view in batch.views[:3]]\n        return torch.stack", _CLASSIFIER,
    ),
    Mutation(
        "averaging", "clips are added up over all videos' largest number", "metrics/video_scores.py",
        "(sums / clips[:, None]).float()", "(sums / clips.max()).float()", _VIDEO_SCORES,
    ),
    Mutation(
        "averaging", "the best clip instead of the mean of clips", "metrics/video_scores.py",
        "sums.index_add_(0, video, probabilities.float().to(exact))",
        'sums.index_reduce_(0, video, probabilities.float().to(exact), "amax")', _VIDEO_SCORES,
    ),
    Mutation(
        "ranking", "ties count in favour", "metrics/arrays.py",
        "((part >= best) & ~true)", "((part > best) & ~true)", _SCORES,
    ),
    Mutation(
        "ranking", "a failed video ranks first", "metrics/arrays.py",
        "scores.shape[1] + 1, np.int64)", "1, np.int64)", _SCORES,
    ),
    Mutation(
        "ranking", "equal scores enter one by one in average precision", "metrics/arrays.py",
        "seen = len(column) - np.searchsorted(np.sort(column), true)",
        'seen = len(column) - np.searchsorted(np.sort(column), true, "right") + 1', _SCORES,
    ),
    Mutation(
        "ranking", "differences that chance explains make ranks", "leaderboard/ranking.py",
        "if p_value < LEVEL:", "if p_value < 2:", _BOARDS,
    ),
    Mutation(
        "ranking", "the worse one ranks above the better", "leaderboard/ranking.py",
        "better[other if found.difference > 0 else one]", "better[other if found.difference < 0 else one]", _BOARDS,
    ),
    Mutation(
        "ranking", "weights that saw test videos rank", "leaderboard/ranking.py",
        'and entry.record.checkpoint.provenance != "contaminated"\n', "", _BOARDS,
    ),
    Mutation(
        "ranking", "leaving out the hard videos pays", "leaderboard/ranking.py",
        "HELD_SHARE = 0.99", "HELD_SHARE = 0.1", _BOARDS,
    ),
)  # fmt: skip
