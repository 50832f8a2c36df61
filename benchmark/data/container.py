"""Opening a video file with PyAV, whichever version it is: one file of this machine, and nothing that it points to."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer

from benchmark.errors import UserError

# Containers of moving pictures, and still pictures, which are videos of one frame. Not among them: playlists and
# scripts (concat, hls, dash, imf, sdp), which show the frames of other files and addresses; patterns of names (image2);
# text and sound, which FFmpeg can draw. Names that this FFmpeg does not know do no harm.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,gif,asf,asf_o,mpegts,mpeg,mpegvideo,m4v,h261,h263,h264,hevc,evc,"
    "vvc,vc1,vc1test,av1,obu,ivf,cavsvideo,avs2,avs3,dirac,mjpeg,mjpeg_2000,ogg,rm,mxf,gxf,lxf,nut,nuv,wtv,ty,dv,swf,nsv,"
    "yuv4mpegpipe,roq,bink,smk,smush,flic,4xm,amv,apng,film_cpk,ea,xmv,mvi,mv,vivo,rpl,thp,psxstr,idcin,dxa,dhav,dnxhd,ipu,"
    "kux,ivr,pmp,smjpeg,mtv,r3d,cine,wc3movie,gdv,"
    "png_pipe,jpeg_pipe,bmp_pipe,webp_pipe"
)


MOST_PIXELS = 36_000_000
"""Of a picture, as many as 8K video has: a file of a few bytes can say that it has four thousand million."""


class DecodeError(Exception):
    """A video that cannot be read; the message is the reason, one sentence."""


@functools.cache
def metadata_options() -> dict[str, Any]:
    """What makes PyAV open files whose metadata is not UTF-8: an argument where there is one, else nothing."""
    options: dict[str, Any] = {"metadata_errors": "ignore"}
    try:
        # No file has an empty name, so only the arguments are tried.
        av.open("", **options)
    except TypeError:
        return {}
    except (av.error.FFmpegError, OSError):
        pass
    return options


def open_container(path: Path) -> InputContainer:
    """Open a video file for reading, also one whose title or comment is not UTF-8.

    Raises:
        DecodeError: If FFmpeg knows the file as something else than a video.
        FFmpegError: If the file does not exist or FFmpeg cannot tell what it is.
    """
    # FFmpeg takes what is before the first colon of a name for a protocol.
    address = f"file:{path.absolute()}"
    allowed = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
    try:
        # FFmpeg decodes a little to know what it is, so the limit has to be there from the beginning.
        limited = {"max_pixels": str(MOST_PIXELS)}
        container: InputContainer = av.open(
            address, mode="r", options=limited, container_options=allowed, **metadata_options()
        )
    except av.error.ArgumentError:  # what a format that is not on the list is answered with
        raise DecodeError(
            "it is not a video: FFmpeg takes it for a playlist, text or sound, or its header is broken"
        ) from None
    return container


def video_seconds(path: Path) -> float:
    """How long a video file says that it lasts; 0 where it does not say so, or cannot be opened."""
    try:
        with open_container(path) as container:
            return float(container.duration or 0) / av.time_base
    except (DecodeError, av.error.FFmpegError, OSError):
        return 0.0


@contextlib.contextmanager
def reasons(decoder: str) -> Iterator[None]:
    """Turn what a decoder and the file system raise into a reason.

    Args:
        decoder: Its name.

    Raises:
        DecodeError: With the reason.
    """
    try:
        yield
    except (DecodeError, UserError):
        raise
    except FileNotFoundError:
        raise DecodeError("the file does not exist") from None
    except PermissionError:
        raise DecodeError("the file may not be read (permission denied)") from None
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError, IndexError) as error:
        raise DecodeError(f"{decoder} cannot read it: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """The first line of an error, without the number and the path that an OSError adds."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
