"""Ways in which the bytes of a video file go wrong, each made from a random generator alone."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import av
import numpy as np

Mutation = Callable[[np.random.Generator, bytearray, "Source"], bytes | bytearray]

# What a file's parts are called: boxes of MP4, chunks of AVI; the length lies before or behind.
_BOXES = rb"moov|trak|mdia|minf|stbl|stsd|stts|ctts|stsc|stsz|stco|stss|mdat|mvhd|tkhd|mdhd|elst|avc1|avcC|hvcC|esds"
_CHUNKS = rb"RIFF|LIST|hdrl|strl|strh|strf|movi|idx1|avih|00dc|01wb"


class Source:
    """A sound file, where its packets lie, and other sound files.

    Args:
        path: The file.
        others: What it may be mixed with.
    """

    def __init__(self, path: Path, others: list[Path]) -> None:
        self.path, self.others = path, others
        self.content = path.read_bytes()
        with av.open(str(path)) as container:
            found = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
        self.packets = [(place, size) for place, size in found if place is not None and place >= 0 and size > 8]


def _place(rng: np.random.Generator, content: bytearray, longest: float = 0.25) -> slice:
    """A stretch of a file, short ones as often as long ones."""
    size = int(min(len(content) * longest, 2 ** rng.uniform(0, np.log2(max(2, len(content) * longest)))))
    begin = int(rng.integers(0, max(1, len(content) - size)))
    return slice(begin, begin + max(1, size))


def _packet(rng: np.random.Generator, source: Source) -> slice:
    begin, size = source.packets[int(rng.integers(len(source.packets)))]
    return slice(begin, begin + size)


def flipped_sparsely(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    for _ in range(int(rng.integers(1, 5))):
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    return content


def flipped_in_pictures(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    for _ in range(int(rng.integers(1, 5))):
        held = _packet(rng, source)
        content[int(rng.integers(held.start + 4, held.stop))] ^= 1 << int(rng.integers(8))
    return content


def flipped_densely(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    flips = rng.random(len(content)) < 10.0 ** rng.uniform(-3, -1)
    values = np.frombuffer(content, np.uint8) ^ np.where(flips, rng.integers(1, 256, len(content)), 0).astype(np.uint8)
    return bytearray(values.tobytes())


def header_edited(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    for _ in range(int(rng.integers(1, 4))):
        content[int(rng.integers(min(256, len(content))))] = int(rng.integers(256))
    return content


def cut_off(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    return content[: int(rng.integers(len(content)))]


def cut_to_its_head(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    return content[: int(rng.integers(0, 600))]


def beginning_lost(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    return content[int(rng.integers(1, len(content))) :]


def stretch_removed(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    del content[_place(rng, content)]
    return content


def stretch_repeated(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    held = _place(rng, content)
    return content[: held.stop] + content[held] + content[held.stop :]


def stretches_exchanged(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    one, other = sorted((_place(rng, content), _place(rng, content)), key=lambda held: held.start)
    size = min(one.stop - one.start, other.stop - other.start, max(1, other.start - one.start))
    one, other = slice(one.start, one.start + size), slice(other.start, other.start + size)
    content[one], content[other] = content[other], content[one]
    return content


def filled_with_zeros(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    held = _place(rng, content)
    content[held] = bytes(held.stop - held.start)
    return content


def filled_with_ones(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    held = _place(rng, content)
    content[held] = b"\xff" * (held.stop - held.start)
    return content


def filled_with_noise(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    held = _place(rng, content)
    content[held] = rng.bytes(held.stop - held.start)
    return content


def noise_behind(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    return content + rng.bytes(int(rng.integers(1, 5000)))


def noise_in_front(rng: np.random.Generator, content: bytearray, source: Source) -> bytes:
    return rng.bytes(int(rng.integers(1, 2000))) + content


def joined(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    return content + source.others[int(rng.integers(len(source.others)))].read_bytes()


def half_another(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    other = source.others[int(rng.integers(len(source.others)))].read_bytes()
    place = float(rng.random())
    return content[: int(place * len(content))] + other[int(place * len(other)) :]


def size_edited(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    places = [found.start() for found in re.finditer(_BOXES, content) if found.start() >= 4]
    fields = [slice(place - 4, place) for place in places]
    fields += [slice(found.end(), found.end() + 4) for found in re.finditer(_CHUNKS, content)]
    if not fields:  # EBML and others keep no lengths of four bytes
        return header_edited(rng, content, source)
    edited = (0, 1, 7, 2**31 - 1, 2**32 - 1, int(rng.integers(2**32)), int(rng.integers(2**16)))
    content[fields[int(rng.integers(len(fields)))]] = int(rng.choice(edited)).to_bytes(4, "big")
    return content


def name_edited(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    found = list(re.finditer(_BOXES + b"|" + _CHUNKS, content))
    if not found:
        return header_edited(rng, content, source)
    held = found[int(rng.integers(len(found)))]
    names = [match.group() for match in found] + [b"free", b"\0\0\0\0"]
    content[held.start() : held.end()] = names[int(rng.integers(len(names)))]
    return content


def table_edited(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    """Numbers in what says where pictures lie and when they are shown."""
    found = list(re.finditer(rb"stts|ctts|stsc|stsz|stco|stss|elst|idx1|strh|mdhd|tkhd|mvhd", content))
    if not found:
        return header_edited(rng, content, source)
    begin = found[int(rng.integers(len(found)))].end()
    for _ in range(int(rng.integers(1, 4))):
        place = begin + 4 * int(rng.integers(0, 24))
        edited = (0, 1, 2**31, 2**32 - 1, int(rng.integers(2**32)), int(rng.integers(1000)))
        if place + 4 <= len(content):
            content[place : place + 4] = int(rng.choice(edited)).to_bytes(4, "big")
    return content


def side_edited(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    """Wherever its width or height stands as two bytes, another one."""
    with av.open(str(source.path)) as container:
        sides = container.streams.video[0].width, container.streams.video[0].height
    orders: tuple[Literal["big", "little"], ...] = ("big", "little")
    for order in orders:
        old = int(rng.choice(sides)).to_bytes(2, order)
        new = int(rng.choice([0, 1, 17, 4096, 16384, 65535])).to_bytes(2, order)
        head = min(len(content), 3000)
        content[:head] = content[:head].replace(old, new)
        if len(content) > head:
            content[-3000:] = content[-3000:].replace(old, new)
    return content


def packets_exchanged(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    one, other = _packet(rng, source), _packet(rng, source)
    size = min(one.stop - one.start, other.stop - other.start)
    one, other = slice(one.start, one.start + size), slice(other.start, other.start + size)
    content[one], content[other] = content[other], content[one]
    return content


def packet_emptied(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    held = _packet(rng, source)
    content[held] = bytes(held.stop - held.start)
    return content


def packet_of_another(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    held, other = _packet(rng, source), source.others[int(rng.integers(len(source.others)))].read_bytes()
    begin = int(rng.integers(max(1, len(other) - (held.stop - held.start))))
    content[held] = other[begin : begin + held.stop - held.start].ljust(held.stop - held.start, b"\0")
    return content


def something_else(rng: np.random.Generator, content: bytearray, source: Source) -> bytes:
    """No video at all, though it is called one."""
    path = str(source.path).encode()
    texts = (
        b"",
        b"\0" * 4096,
        b"ffconcat version 1.0\nfile '" + path + b"'\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n" + path + b"\n#EXT-X-ENDLIST\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        b"GIF89a" + rng.bytes(300),
        b"\x89PNG\r\n\x1a\n" + rng.bytes(300),
        b"RIFF" + rng.bytes(4) + b"AVI LIST" + rng.bytes(300),
        b"\0\0\0\x18ftypmp42" + rng.bytes(300),
        b"\x1a\x45\xdf\xa3" + rng.bytes(300),
        rng.bytes(int(rng.integers(1, 5000))),
    )
    return texts[int(rng.integers(len(texts)))]


def twice_damaged(rng: np.random.Generator, content: bytearray, source: Source) -> bytes | bytearray:
    names = [name for name in MUTATIONS if name not in {"twice_damaged", "something_else", "wrong_ending"}]
    for name in rng.choice(names, 2):
        try:
            content = bytearray(MUTATIONS[str(name)](rng, content, source))
        except (IndexError, ValueError):  # of a place that the first has removed
            break
    return content


def wrong_ending(rng: np.random.Generator, content: bytearray, source: Source) -> bytearray:
    """The content is as it was; `attack` names the file otherwise."""
    return content


MUTATIONS: dict[str, Mutation] = {
    made.__name__: made
    for made in (
        *(flipped_sparsely, flipped_in_pictures, flipped_densely, header_edited, cut_off, cut_to_its_head),
        *(beginning_lost, stretch_removed, stretch_repeated, stretches_exchanged, filled_with_zeros, filled_with_ones),
        *(filled_with_noise, noise_behind, noise_in_front, joined, half_another, size_edited, name_edited),
        *(table_edited, side_edited, packets_exchanged, packet_emptied, packet_of_another, something_else),
        *(twice_damaged, wrong_ending),
    )
}
