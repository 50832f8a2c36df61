from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from benchmark.clip import Failure
from benchmark.data import dataset
from benchmark.data.broken import find_broken
from benchmark.data.dataset import ClipReader, Collate, Sample, TrainingClips, VideoClips
from benchmark.data.decode import open_video
from benchmark.data.index import Video, VideoIndex
from benchmark.data.loader import VideoBatches
from benchmark.data.preprocess import Picture, augment, square_rgb
from benchmark.data.pyav_video import PyAVVideo
from benchmark.data.sampling import clip_start
from benchmark.errors import UserError
from benchmark.identity import Identity
from benchmark.protocol import Protocol
from tests.generators.encoded import encode, number_shown, numbered_picture
from tests.generators.indexes import BROKEN, SHORT, small_index

PROTOCOL = Protocol(frame_side=40, clips_per_video=6)
OFFSETS = (0, 3, 15)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> VideoIndex:
    return small_index(tmp_path_factory.mktemp("videos"))


def plain_frame(index: VideoIndex, row: int, number: int) -> np.ndarray:
    """One frame of a video, read alone."""
    with open_video(index.video(row).path) as video:
        ((_, picture),) = video.read([number])
        return square_rgb(picture, PROTOCOL.frame_side)


@pytest.mark.parametrize(("row", "frames"), [(0, 40), (1, 5), (3, 30)])
def test_clips_against_frames_read_one_by_one(index: VideoIndex, row: int, frames: int) -> None:
    video = index.video(row)
    sample = ClipReader(PROTOCOL, OFFSETS).read(video, range(6))
    assert sample.frames.shape == (6, 3, 40, 40, 3)
    assert sample.frames.dtype == np.uint8
    assert (sample.row, sample.labels, sample.padded) == (row, video.labels, frames < 16)
    assert list(sample.clips) == list(range(6))
    for clip in range(6):
        start = clip_start(PROTOCOL.sampler_seed, video.video_id, clip, frames, 16)
        assert sample.starts[clip] == start
        for place, offset in enumerate(OFFSETS):
            expected = plain_frame(index, row, min(start + offset, frames - 1))
            np.testing.assert_array_equal(sample.frames[clip, place], expected)


def test_a_sample_shows_the_frames_that_its_start_names(index: VideoIndex) -> None:
    """The centre square of a 96x64 picture still shows six of the eight columns of its number."""
    sample = ClipReader(Protocol(frame_side=64), (0, 7)).read(index.video(0), range(20))
    for start, (first, second) in zip(sample.starts, sample.frames, strict=True):
        for number, frame in ((start, first), (start + 7, second)):
            whole = np.zeros((64, 96, 3), np.uint8)
            whole[:, 16:80] = frame
            assert (number_shown(whole) ^ number) & 0b0111_1100 == 0


def test_a_shared_frame_is_decoded_once(index: VideoIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []
    converted = 0
    checked: list[list[int]] = []
    read = PyAVVideo.read

    def recorded(
        self: PyAVVideo, numbers: Sequence[int], span: Sequence[int] | None = None
    ) -> Iterator[tuple[int, Picture]]:
        asked.append(list(numbers))
        checked.append(list(span or ()))
        return read(self, numbers, span)

    def counted(picture: Picture, side: int, out: np.ndarray) -> np.ndarray:
        nonlocal converted
        converted += 1
        return square_rgb(picture, side, out)

    monkeypatch.setattr(PyAVVideo, "read", recorded)
    monkeypatch.setattr(dataset, "square_rgb", counted)
    sample = ClipReader(PROTOCOL, tuple(range(10))).read(index.video(0), range(20))
    needed = {start + offset for start in sample.starts for offset in range(10)}
    assert asked == [sorted(needed)]
    assert checked == [sorted({start + offset for start in sample.starts for offset in range(16)})]
    assert converted == len(needed) <= 35 < 20 * 10


def test_offsets_need_not_ascend(index: VideoIndex) -> None:
    forward = ClipReader(PROTOCOL, (0, 3, 15)).read(index.video(0), [2])
    backward = ClipReader(PROTOCOL, (15, 3, 0)).read(index.video(0), [2])
    np.testing.assert_array_equal(forward.frames[:, ::-1], backward.frames)


@pytest.mark.parametrize("offsets", [(), (-1,), (0, 16), (99,)])
def test_offsets_outside_the_clip_are_refused(offsets: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="from 0 to 15"):
        ClipReader(PROTOCOL, offsets)


def test_a_training_clip_is_the_test_clip_cropped(index: VideoIndex) -> None:
    reader = ClipReader(PROTOCOL, OFFSETS)
    clips = TrainingClips(index, reader, side=30, seed=5)
    for key in [(0, 0, 3), (4, 3, 49), (2, 1, 0)]:
        sample = clips[key]
        assert isinstance(sample, Sample)
        whole = reader.read(index.video(key[1]), [key[2]])
        rng = np.random.default_rng([5, 2, *key])
        np.testing.assert_array_equal(sample.frames[0], augment(whole.frames[0], 30, rng))
        assert (list(sample.clips), sample.starts) == ([key[2]], whole.starts)


def test_augmentation_is_a_function_of_seed_epoch_row_and_clip(index: VideoIndex) -> None:
    def frames(seed: int, key: tuple[int, int, int]) -> bytes:
        sample = TrainingClips(index, ClipReader(PROTOCOL, (0,)), side=20, seed=seed)[key]
        assert isinstance(sample, Sample)
        return sample.frames.tobytes()

    np.random.seed(0)
    one = frames(0, (0, SHORT, 0))
    np.random.seed(1)
    assert frames(0, (0, SHORT, 0)) == one  # one start only, so that nothing but the crop can differ
    assert len({one, frames(1, (0, SHORT, 0)), frames(0, (1, SHORT, 0)), frames(0, (0, SHORT, 1))}) == 4


def test_a_broken_video_is_a_failure_and_others_are_not(index: VideoIndex) -> None:
    reader = ClipReader(PROTOCOL, OFFSETS)
    expected = "pyav cannot read it: Invalid data found when processing input"
    training, whole = TrainingClips(index, reader, 30, 0), VideoClips(index, reader)
    assert training[0, BROKEN, 1] == whole[BROKEN] == Failure(BROKEN, "v2", expected)
    batch = Collate(3, 3, 40, ("centre",))([whole[0], whole[BROKEN], whole[1]])
    assert batch.failures == [Failure(BROKEN, "v2", expected)]
    assert batch.rows.tolist() == [0] * 6 + [1] * 6


def test_an_error_of_our_own_is_not_a_failure_of_the_video(index: VideoIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(picture: Picture, side: int, out: np.ndarray) -> np.ndarray:
        raise ValueError("a mistake in the program")

    monkeypatch.setattr(dataset, "square_rgb", wrong)
    with pytest.raises(ValueError, match="a mistake in the program"):
        VideoClips(index, ClipReader(PROTOCOL, OFFSETS))[0]


def test_a_batch_by_hand(index: VideoIndex) -> None:
    whole = VideoClips(index, ClipReader(PROTOCOL, OFFSETS))
    samples = [whole[row] for row in (0, SHORT, 3)]
    batch = Collate(3, 3, 40, ("upper_left", "centre"))(samples)
    assert batch.frames.shape == (18, 3, 40, 40, 3)
    assert batch.labels.tolist() == [[1, 0, 0]] * 6 + [[0, 1, 1]] * 6 + [[0, 0, 0]] * 6
    assert batch.labels.dtype == torch.float32
    assert batch.clips.tolist() == list(range(6)) * 3
    assert batch.padded.tolist() == [False] * 6 + [True] * 6 + [False] * 6
    assert batch.views == ("upper_left", "centre")
    for position, sample in enumerate(samples):
        assert isinstance(sample, Sample)
        np.testing.assert_array_equal(batch.frames[6 * position : 6 * position + 6].numpy(), sample.frames)
        assert batch.starts[6 * position : 6 * position + 6].tolist() == list(sample.starts)


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_a_batch_in_which_nothing_could_be_read(failures: int) -> None:
    batch = Collate(7, 4, 32, ("centre",))([Failure(row, "v", "why") for row in range(failures)])
    assert len(batch) == 0
    assert (batch.frames.shape, batch.frames.dtype) == ((0, 4, 32, 32, 3), torch.uint8)
    assert (batch.labels.shape, batch.labels.dtype) == ((0, 7), torch.float32)
    for name, dtype in {"rows": torch.int64, "clips": torch.int64, "starts": torch.int64, "padded": torch.bool}.items():
        assert (getattr(batch, name).shape, getattr(batch, name).dtype) == ((0,), dtype)
    assert len(batch.failures) == failures


def test_broken_videos_are_found(index: VideoIndex) -> None:
    assert find_broken(index, "pyav") == {"v2": "pyav cannot read it: Invalid data found when processing input"}
    assert find_broken(index, "pyav", most=4) is None
    assert find_broken(index, "pyav", most=5) is not None


def test_a_file_that_went_away_after_it_was_indexed(tmp_path: Path) -> None:
    index = small_index(tmp_path)
    (tmp_path / "v0.mp4").unlink()
    assert VideoClips(index, ClipReader(PROTOCOL, OFFSETS))[0] == Failure(0, "v0", "the file does not exist")


def test_damaged_files_stop_no_worker(tmp_path: Path) -> None:
    """Every second video is damaged in the middle; each row comes back once, and whole ones show their own number."""
    suffixes = ["mp4", "avi", "mkv", "ts"]
    names = [f"v{row}.{suffixes[row // 2 % 4]}" for row in range(16)]
    for row, name in enumerate(names):
        picture = numbered_picture(row, 64, 64)
        planes = av.VideoFrame.from_ndarray(picture, format="rgb24").to_ndarray(format="yuv420p")
        path = encode(tmp_path / name, width=64, height=64, frames=20, planes=planes, options={"g": "5", "crf": "5"})
        if row % 2:
            content, rng = path.read_bytes(), np.random.default_rng(row)
            middle = len(content) // 2
            path.write_bytes(content[:middle] + rng.bytes(200) + content[middle + 200 :])
    index = VideoIndex.from_columns(
        Identity("Damaged"),
        tmp_path,
        ("A",),
        video_id=names,
        path=names,
        labels=[[0]] * 16,
        split=["test"] * 16,
    )
    loader = DataLoader(
        VideoClips(index, ClipReader(Protocol(frame_side=64, clips_per_video=4), (0, 15))),
        batch_sampler=VideoBatches(np.arange(16), 4),
        collate_fn=Collate(1, 2, 64, ("centre",)),
        num_workers=2,
        timeout=60,
    )
    rows: list[int] = []
    for batch in loader:
        rows += [failure.row for failure in batch.failures] + batch.rows[::4].tolist()
        assert all(failure.row % 2 and failure.reason for failure in batch.failures)
        for row, clip in zip(batch.rows.tolist(), batch.frames.numpy(), strict=True):
            if row % 2 == 0:
                assert [number_shown(frame) for frame in clip] == [row, row]
    assert sorted(rows) == list(range(16))


@pytest.mark.parametrize(
    ("name", "options"),
    [("b.mp4", {"bf": "3"}), ("b.mkv", {"bf": "3"}), ("b.ts", {}), ("b.flv", {}), ("a.h264", {})],
)
def test_a_clip_that_lasts_half_a_second(tmp_path: Path, name: str, options: dict[str, str]) -> None:
    """25 frames a second: moment k of 16 is k * 25 / 32 frames after the first."""
    path = encode(tmp_path / name, frames=30, options=options)
    video = Video(0, "a", path, (0,))
    sample = ClipReader(Protocol(frame_side=64, clip_seconds=0.5), (0, 5, 9, 15)).read(video, range(4))
    with open_video(path) as opened:
        for clip, start in enumerate(sample.starts):
            assert 0 <= start <= 17
            numbers = sorted({start + offset for offset in (0, 5 * 25 // 32, 9 * 25 // 32, 15 * 25 // 32)})
            for place, (_, picture) in enumerate(opened.read(numbers)):
                np.testing.assert_array_equal(sample.frames[clip, place], square_rgb(picture, 64))


def test_uneven_frames_are_read_by_their_times(tmp_path: Path) -> None:
    """Every other frame is shown for 90 ms, the others for 10: half a second is ten frames at every start."""
    times = [100 * (number // 2) + 10 * (number % 2) for number in range(40)]
    path = encode(tmp_path / "uneven.mkv", frames=40, times=times)
    sample = ClipReader(Protocol(frame_side=64, clip_seconds=0.5), tuple(range(16))).read(Video(0, "a", path, ()), [0])
    moments = [times[sample.starts[0]] + 1000 * k / 32 for k in range(16)]
    expected = [max(n for n, time in enumerate(times) if time <= moment + 1) for moment in moments]
    with open_video(path) as opened:
        pictures = {number: square_rgb(picture, 64) for number, picture in opened.read(sorted(set(expected)))}
    for frame, number in zip(sample.frames[0], expected, strict=True):
        np.testing.assert_array_equal(frame, pictures[number])
