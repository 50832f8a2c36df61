"""A video read with torchcodec, held to the frames that PyAV finds sound."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np

from benchmark.data.container import one_line, reasons
from benchmark.data.display import display_matrix, picture
from benchmark.data.preprocess import Picture
from benchmark.data.pyav_video import PyAVVideo
from benchmark.data.timeline import Timeline
from benchmark.errors import UserError


class TorchcodecVideo:
    """A file read with torchcodec, one thread.

    torchcodec does not say whether a frame is damaged, ignores mirroring, and reads no frames of a second size. So PyAV
    decodes every clip as well: it alone says what is sound and how it is shown, and its frames are taken where
    torchcodec has others, or stumbles over damage elsewhere in the file.

    Args:
        path: The file.
        timeline: Its timeline.
        checked: The same file, read with PyAV.
    """

    def __init__(self, path: Path, timeline: Timeline, checked: PyAVVideo) -> None:
        from torchcodec.decoders import VideoDecoder

        self._checked = checked
        self.frames = timeline.frames
        self._timeline, self._seconds = timeline, self._checked.tick_seconds
        # As an open file: a name would be taken for an address, and has to be UTF-8.
        self._file = path.open("rb")
        self._decoder = VideoDecoder(
            self._file,
            stream_index=timeline.stream,
            dimension_order="NHWC",
            num_ffmpeg_threads=1,
            seek_mode="exact",
        )

    def close(self) -> None:
        """Let go of the file."""
        self._checked.close()
        self._file.close()

    def shown_seconds(self) -> np.ndarray:
        """See `OpenVideo.shown_seconds`."""
        return self._checked.shown_seconds()

    def read(self, numbers: Sequence[int], span: Sequence[int] | None = None) -> Iterator[tuple[int, Picture]]:
        """See `OpenVideo.read`."""
        sound = [(number, frame, self._checked.pixel_shape()) for number, frame in self._checked.decoded(numbers, span)]
        try:
            theirs = self._theirs([(number, frame) for number, frame, _ in sound])
        except (RuntimeError, ValueError, IndexError):
            theirs = {}
        with reasons("pyav"):
            for number, frame, pixel_shape in sound:
                rgb = theirs.get(number)
                shown = picture(frame, pixel_shape) if rgb is None else Picture(rgb=rgb, pixel_shape=pixel_shape)
                yield number, shown

    def _theirs(self, sound: Sequence[tuple[int, av.VideoFrame]]) -> dict[int, np.ndarray]:
        """Those frames that torchcodec shows as they are to be shown, (H, W, 3) uint8 RGB by number."""
        size = self._decoder.metadata.height, self._decoder.metadata.width
        plain = [number for number, frame in sound if (frame.height, frame.width) == size and not display_matrix(frame)]
        if not plain:
            return {}
        batch = self._decoder.get_frames_at(plain)
        # Where it seeks to a keyframe that is not the frame's, it gives another frame, but says when that is shown.
        wanted = np.array(self._timeline.times(plain)) * self._seconds
        right = np.abs(batch.pts_seconds.numpy() - wanted) < self._seconds / 2
        return {number: rgb.numpy() for number, rgb, is_right in zip(plain, batch.data, right, strict=True) if is_right}


def require_torchcodec() -> None:
    """Refuse torchcodec where it cannot be loaded.

    Raises:
        UserError: With what is missing.
    """
    try:
        import torchcodec.decoders  # noqa: F401

        _load()
    except (ImportError, RuntimeError, OSError) as error:
        raise UserError(
            f"data.decoder is torchcodec, which cannot be loaded here ({one_line(error)}); "
            "run `pip install 'clipbench[torchcodec]'` and install FFmpeg, or use data.decoder=pyav"
        ) from error


@functools.cache
def _load() -> None:
    """Make torchcodec look for FFmpeg's libraries, which some releases leave to the first decoder."""
    from torchcodec.decoders import VideoDecoder

    try:
        VideoDecoder(b"no video")
    except (RuntimeError, ValueError) as error:
        if "libtorchcodec" in str(error):
            raise
