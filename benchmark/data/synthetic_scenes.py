"""Draws the pictures of SyntheticActions as planes Y, U and V, before they are encoded.

Lengths are pixels of the 320x240 picture; the centre square is later reduced from 240 to 200. What a network sees:

    half-width 53..67   the fovea (89 of 178, wherever the 178 was cut out of 200) ends
    half-width 80       the border patterns begin
    everywhere          fine texture: alternates from pixel to pixel of the 200x200 picture

Everything is computed in float64 and rounded once; frames are then made of integers alone.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from benchmark.data.synthetic_plan import CLASSES, GROUPS, PlannedVideo, members

HEIGHT, WIDTH, FRAMES = 240, 320, 50

_MARGIN = 8  # The canvas is larger than the picture on each side, so that the camera can move.
_CAMERA_REACH = 5.5
_CENTRE_HALF_WIDTH = 80  # A multiple of the codec's 8x8 blocks: no block holds both centre and border.
_MIDDLE = 126.0  # Luma half-way between 16 and 235, the limits of the studio range.
_NYQUIST = np.array([83, -117, 63, 63, -117, 83, -83, 117, -63, -63, 117, -83]) / 63
"""Twelve pixels that linear interpolation at 6 to 5 reduces to ten alternating ones, +1 -1 +1 ...

Twice two of these average to exactly 0, at even and odd positions alike, along rows, columns or both."""

_ROWS, _COLUMNS = np.mgrid[-_MARGIN : HEIGHT + _MARGIN, -_MARGIN : WIDTH + _MARGIN].astype(np.float64)
_Y, _X = _ROWS - (HEIGHT - 1) / 2, _COLUMNS - (WIDTH - 1) / 2
_IN_CENTRE = np.maximum(abs(_Y), abs(_X)) < _CENTRE_HALF_WIDTH


@dataclasses.dataclass(frozen=True)
class Scene:
    """One canvas: the picture and a margin around it.

    Args:
        luma: (H, W) uint8: luma itself, or phases in 1/256 of a period where there is a `waveform`.
        chroma: (2, H/2, W/2) uint8, U and V.
        waveform: (256,) uint8, luma at each phase, or None.
        carrier: (H, W) int16 added to luma, which stays where it is when the camera moves, or None.
    """

    luma: np.ndarray
    chroma: np.ndarray
    waveform: np.ndarray | None = None
    carrier: np.ndarray | None = None


def draw_frames(video: PlannedVideo, seed: int) -> Iterator[np.ndarray]:
    """The frames of a video.

    Args:
        video: What to draw.
        seed: Seed of the set.

    Yields:
        50 frames of (360, 320) uint8: rows of Y, then U and V as in `yuv420p`. A frame that repeats the one before it
        is the same object.
    """
    group = CLASSES[video.classes[0]]
    number = GROUPS.index(group)
    shared = np.random.default_rng([seed, 2, number, video.source])
    own = np.random.default_rng([seed, 3, number, video.source, video.clip])
    scene = _draw_scene(video, shared, own)
    # Drawn for every class of the group, so that its classes stay equal in all the rest.
    start, speed = own.random(), 0.125 + 0.02 * (own.random() - 0.5)
    path = _camera_path(own) if video.camera_motion else np.zeros((FRAMES, 2), np.int64)
    # Phase is uniform in the first frame, hence in every frame; backwards is the same set of frames.
    phases = np.rint(256 * (start + speed * np.arange(FRAMES))).astype(np.int64) % 256
    order = range(FRAMES - 1, -1, -1) if video.classes[0] in ("Contract", "Sink") else range(FRAMES)
    last: tuple[int, ...] | None = None
    frame = np.empty(0, np.uint8)
    for time in order:
        state = (int(path[time, 0]), int(path[time, 1]), int(phases[time]) if scene.waveform is not None else 0)
        if state != last:
            frame, last = _frame(scene, *state), state
        yield frame


def _frame(scene: Scene, down: int, right: int, phase: int) -> np.ndarray:
    """The picture seen by a camera moved by some pixels, as one (360, 320) array."""
    top, left = _MARGIN + down, _MARGIN + right
    luma = scene.luma[top : top + HEIGHT, left : left + WIDTH]
    if scene.waveform is not None:
        luma = scene.waveform[luma + np.uint8(phase)]
    if scene.carrier is not None:
        fixed = scene.carrier[_MARGIN : _MARGIN + HEIGHT, _MARGIN : _MARGIN + WIDTH]
        luma = np.clip(luma + fixed, 16, 235).astype(np.uint8)
    frame = np.empty((HEIGHT * 3 // 2, WIDTH), np.uint8)
    frame[:HEIGHT] = luma
    chroma = scene.chroma[:, top // 2 : top // 2 + HEIGHT // 2, left // 2 : left // 2 + WIDTH // 2]
    frame[HEIGHT:] = chroma.reshape(HEIGHT // 2, WIDTH)
    return frame


def _camera_path(rng: np.random.Generator) -> np.ndarray:
    """A smooth drift of up to 5.5 pixels, (frames, 2) int64: down and right."""
    time = np.arange(FRAMES)[:, None]
    slow, fast = rng.uniform(0.008, 0.02, 2), rng.uniform(0.02, 0.045, 2)
    drift = 0.65 * np.sin(2 * np.pi * (slow * time + rng.random(2)))
    shake = 0.35 * np.sin(2 * np.pi * (fast * time + rng.random(2)))
    path: np.ndarray = np.rint(_CAMERA_REACH * (drift + shake)).astype(np.int64)
    return path


def _draw_scene(video: PlannedVideo, shared: np.random.Generator, own: np.random.Generator) -> Scene:
    """The scene of a video's class, and of its second class where it has one."""
    luma, grain = _MIDDLE + 10 * _field(own, 90), 6 * _grain(own)
    chroma = np.stack([128 + 10 * _field(own, 130), 128 + 10 * _field(own, 130)])
    waveform = carrier = None
    style = shared.random(8)
    jitter = own.random(4)
    groups = {CLASSES[name]: name for name in video.classes}
    window = _window() if len(groups) > 1 else np.ones_like(luma)
    if "motion" in groups:
        turns = _motion_phase(groups["motion"], style)
        luma = np.floor(256 * (turns % 1))
        waveform = _rounded(_MIDDLE + 70 * _wave(style[0]))
        chroma = np.stack([128 + 12 * _field(shared, 200), 128 + 12 * _field(shared, 200)])
    if "appearance" in groups:
        name = groups["appearance"]
        where = _IN_CENTRE if "context" in groups else np.ones_like(_IN_CENTRE)
        pattern = np.tanh(4 * _appearance(name, style, jitter))
        contrast = 55 * (1 - 0.8 * window) if "detail" in groups else 55
        luma = np.where(where, luma + contrast * pattern, luma)
        chroma = _tint(chroma, members("appearance").index(name) / 4 + 0.05 * style[7], 30, where)
    if "context" in groups:
        name = groups["context"]
        pattern = np.tanh(3 * _border(name, style, jitter))
        luma = np.where(_IN_CENTRE, luma, luma + 60 * pattern)
        chroma = _tint(chroma, members("context").index(name) / 4 + 0.125 + 0.05 * style[7], 35, ~_IN_CENTRE)
    if "detail" in groups:
        texture = 44 * _fine_texture(groups["detail"], jitter[2] < 0.5)
        carrier = np.rint(window * (texture + grain)).astype(np.int16)
    # Every second sample of the chroma is enough: it is smooth but for the edge of the centre, which is on one.
    return Scene(_rounded(luma), _rounded(chroma[:, ::2, ::2]), waveform, carrier)


def _rounded(values: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def _field(rng: np.random.Generator, wavelength: float) -> np.ndarray:
    """Smooth noise from -1 to 1 on the canvas: three waves of about this length, in pixels, or longer."""
    angle, phase, length = 2 * np.pi * rng.random(3), rng.random(3), wavelength * (1 + rng.random(3))
    waves = [
        np.sin(2 * np.pi * ((_X * np.cos(a) + _Y * np.sin(a)) / n + p))
        for a, p, n in zip(angle, phase, length, strict=True)
    ]
    total: np.ndarray = sum(waves[1:], waves[0]) / 3
    return total


def _grain(rng: np.random.Generator) -> np.ndarray:
    """White noise of variance 1 on the canvas; hides what the codec's rounding leaves of a texture."""
    grain: np.ndarray = (rng.random(_X.shape) - 0.5) * np.sqrt(12)
    return grain


def _wave(shape: float) -> np.ndarray:
    """One period of luma from -1 to 1, 256 samples, not the same forwards and backwards."""
    turn = 2 * np.pi * np.arange(256) / 256
    wave: np.ndarray = (np.sin(turn) + 0.2 * np.sin(2 * turn + 2 * np.pi * shape)) / 1.2
    return wave


def _motion_phase(name: str, style: np.ndarray) -> np.ndarray:
    """Phase of the moving pattern in periods on the canvas; a growing phase moves it up, or outwards."""
    period = 22 + 5 * style[2]
    if name in ("Expand", "Contract"):
        angle = np.arctan2(_Y, _X)
        bend = 0.25 * np.sin((2 + np.floor(3 * style[3])) * angle + 2 * np.pi * style[4])
        phase: np.ndarray = bend - np.hypot(_X, _Y) / period
        return phase
    bend = 0.3 * np.sin(2 * np.pi * (_X / (90 + 60 * style[3]) + style[4]))
    phase = bend + _Y / period
    return phase


def _appearance(name: str, style: np.ndarray, jitter: np.ndarray) -> np.ndarray:
    """A coarse pattern on the canvas, positive inside its shapes."""
    length = 48 + 16 * style[2]
    x, y = _X / length + jitter[0], _Y / length + jitter[1]
    shape: np.ndarray
    if name == "Discs":
        shape = 5 * (0.33 - np.hypot(x % 1 - 0.5, y % 1 - 0.5))
    elif name == "Tiles":
        shape = np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y)
    elif name == "Stripes":
        shape = np.sin(2 * np.pi * x)
    else:
        u, v = 2 * np.pi * x, 2 * np.pi * y
        shape = np.sin(0.9 * u + 1.3 * np.sin(0.8 * v)) + np.sin(0.7 * v + 1.7 * np.sin(0.6 * u + 1))
    return shape if style[3] < 0.5 else -shape


def _border(name: str, style: np.ndarray, jitter: np.ndarray) -> np.ndarray:
    """A pattern of medium coarseness, of which only the part outside the centre is shown."""
    length = 30 + 6 * style[2]
    x, y = 2 * np.pi * (_X / length + jitter[0]), 2 * np.pi * (_Y / length + jitter[1])
    shape: np.ndarray
    if name == "BorderColumns":
        shape = np.sin(x)
    elif name == "BorderRows":
        shape = np.sin(y)
    elif name == "BorderTiles":
        shape = np.sin(x) * np.sin(y) * 2
    else:
        shape = np.sin(2 * np.pi * (np.maximum(abs(_X), abs(_Y)) / length + jitter[0]))
    return shape


def _tint(chroma: np.ndarray, hue: float, strength: float, where: np.ndarray) -> np.ndarray:
    """Chroma moved towards a hue, 0 to 1, inside a mask."""
    toward = strength * np.array([np.cos(2 * np.pi * hue), np.sin(2 * np.pi * hue)])
    tinted: np.ndarray = np.where(where, chroma + toward[:, None, None], chroma)
    return tinted


def _fine_texture(name: str, negative: bool) -> np.ndarray:
    """A texture of +1 and -1 in the 200x200 picture, of mean 0 over any 2x2 of its pixels; up to 1.9 on the canvas.

    `_NYQUIST` along one direction and any constants along the other: ones, or a sign that changes every 6 pixels (5 of
    the 200x200 picture).
    """
    # The centre square begins at column 40.
    columns, rows = (_COLUMNS - (WIDTH - HEIGHT) // 2).astype(np.int64), _ROWS.astype(np.int64)
    along, across = (columns, rows) if "Column" in name else (rows, columns)
    bricks = 1 - 2 * (across // 6 % 2) if "Bricks" in name else 1
    texture: np.ndarray = _NYQUIST[along % 12] * bricks
    return -texture if negative else texture


def _window() -> np.ndarray:
    """1 in the centre, falling smoothly to 0 before the border begins."""
    inside = np.clip((72 - np.maximum(abs(_X), abs(_Y))) / 24, 0, 1)
    window: np.ndarray = 0.5 - 0.5 * np.cos(np.pi * inside)
    return window
