"""The packets of a stream, the frames decoded from them, and whether anything on the way was damaged."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from benchmark.data.container import MOST_PIXELS, one_line
from benchmark.data.timeline import Clock

if TYPE_CHECKING:
    VideoPacket = av.Packet[VideoStream]

# The time of a frame that no packet brings out but the end of the file; it is the last.
FLUSHED = 2**62

# Containers in which FFmpeg finds a keyframe by an index of times; elsewhere it searches, and may land after it.
INDEXED = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv", "gif"}

# Codecs whose pictures say for certain that no other picture is built on them: B-pictures of MPEG-4 (ISO 14496-2),
# nal_ref_idc 0 in H.264. Those that are not needed are not decoded at all.
_SKIPPABLE = {"mpeg4", "h264"}

# What FFmpeg checks, and that a picture in which it finds a fault is an error instead of a repair by guesswork.
_CHECKS = "explode+crccheck+buffer+careful"

# Codecs of which `bitstream` does not check more, but passes over a wrong header of the whole sequence in silence.
_BARELY_CHECKED = {"mpeg1video", "mpeg2video"}


def time_of(frame: av.VideoFrame, clock: Clock) -> int:
    """The time of a decoded frame; below all others if it has none."""
    if clock == "dts":
        return FLUSHED if frame.dts is None else int(frame.dts)
    return -FLUSHED if frame.pts is None else int(frame.pts)


def packets(container: InputContainer, stream: VideoStream) -> Iterator["VideoPacket"]:
    """The stream's packets; in a file that was cut off, up to the packet that is not whole."""
    for packet in container.demux(stream):
        if packet.is_corrupt and container.format.name in INDEXED:
            return
        if packet.size:
            yield packet


def _is_whole_jpeg(data: bytes) -> bool:
    """Whether a JPEG has a size, a scan and, unless it is lossless, tables of quantisation.

    FFmpeg takes what is not there from the picture before it, or gives back grey, without an error. In a scan no byte
    of ones is followed by one of these.
    """
    has_tables = b"\xff\xdb" in data or b"\xff\xc3" in data
    return has_tables and b"\xff\xda" in data and re.search(rb"\xff[\xc0-\xc3]", data) is not None


class Decoding:
    """The frames of a stream from where its container is to the end, in the order in which they are shown.

    A packet that cannot be decoded without a fault is noted and passed over, so that it costs only the frames that are
    built on it.

    Args:
        container: An open file.
        stream: Its video stream, of which this is the one user.
        needed: Times of packets whose frames are needed; others may be left out. None is all.
        clock: What those times are.
        begin: Time of the keyframe where the container is. Pictures shown before it are built on what was passed over.
        place: Position in the file of that keyframe, where it is known. If the first packet is another, or has another
            time, none of those after it is what its time says.
        sought: Whether the container alone says that a keyframe is there; without one there are no frames.
        counted: Whether frames are numbered by counting, which a fault ends: it may have cost any number of them.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        needed: frozenset[int] | None = None,
        clock: Clock = "pts",
        begin: int = -FLUSHED,
        place: int | None = None,
        *,
        sought: bool = False,
        counted: bool = False,
    ) -> None:
        self._container, self._stream, self._clock, self._begin = container, stream, clock, begin
        self._needed = needed if stream.codec_context.name in _SKIPPABLE else None
        self._place, self._sought, self._is_astray = place, sought, False
        # AVI tells by which packet a frame comes out, not in which one it is.
        self._has_own_places = clock == "pts" and container.format.name != "avi" and not counted
        self._places: dict[int, int] = {}  # of packets in the order of decoding, by time
        self._fed = 0
        self._faults: list[int] = []  # places of packets with a fault, on which later frames may be built
        self.fault = ""  # what FFmpeg said first

    def frames(self) -> Iterator[av.VideoFrame]:
        """The frames; those without a fault in their own packet, whatever they are built on."""
        context = self._stream.codec_context
        if not context.is_open:
            context.thread_type = "NONE"
            checks = _CHECKS if context.name in _BARELY_CHECKED else f"{_CHECKS}+bitstream"
            context.options = {"err_detect": checks, "max_pixels": str(MOST_PIXELS)}
        context.skip_frame = "DEFAULT"
        has_begun = False
        for packet in packets(self._container, self._stream):
            if self._place is not None and not self._fed and (packet.pos, packet.pts) != (self._place, self._begin):
                return  # an index that is wrong: another picture has the time that was asked for
            time = packet.pts if self._clock == "pts" else packet.dts
            if self._needed is not None:
                context.skip_frame = "DEFAULT" if time in self._needed else "NONREF"
            self._fed += 1
            if time is not None:
                self._places[time] = self._fed
            # Faults before the first keyframe are those of a recording that began in the middle.
            has_begun = has_begun or packet.is_keyframe
            counts = has_begun and not (self._clock == "pts" and time is not None and time < self._begin)
            if counts and (packet.is_corrupt or (context.name == "mjpeg" and not _is_whole_jpeg(bytes(packet)))):
                self._faults.append(self._fed)
            yield from self._decoded(packet, counts=counts)
            if self._is_astray:
                return
        self._fed += 1
        yield from self._decoded(None, counts=True)

    def _decoded(self, packet: "VideoPacket | None", *, counts: bool) -> Iterator[av.VideoFrame]:
        """Frames one by one: one packet may bring out a damaged one and the keyframe that ends the damage."""
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.error.FFmpegError as error:
            if counts:
                self.fault = self.fault or one_line(error)
                self._faults.append(self._fed)
            return
        for frame in frames:
            if self._sought and not frame.key_frame and time_of(frame, self._clock) == self._begin:
                self._is_astray = True
                return
            place = self._places.get(time_of(frame, self._clock))
            if frame.is_corrupt and not (self._clock == "pts" and time_of(frame, "pts") < self._begin):
                self._faults.append(self._fed if place is None else place)
            elif frame.key_frame and place is not None and self._has_own_places:
                # What comes later is built on nothing before it.
                self._faults = [fault for fault in self._faults if fault >= place]
            yield frame

    def is_damaged(self, frame: av.VideoFrame | None = None) -> bool:
        """Whether a frame, or anything decoded from its keyframe on to it, had a fault; None is the end of the file."""
        place = self._fed if frame is None else self._places.get(time_of(frame, self._clock), self._fed)
        return any(fault <= place for fault in self._faults)
