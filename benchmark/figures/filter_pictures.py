"""Pictures of first-layer filters: still, with each frame in a row of its own, and moving."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.figures.filters import FilterStatement, measure, tiles
from benchmark.figures.style import drawing, short
from benchmark.files import whole

_ZOOM = 4
_MILLISECONDS = 160  # a frame of the moving picture
_MOST_ACROSS = 5
_INCHES, _INCHES_OF_MANY = 3.2, 1.7  # width of a sheet of filters


def draw_filters(streams: Mapping[str, np.ndarray], path: Path) -> dict[str, FilterStatement]:
    """Draw the filters of each stream beside each other; returns what was measured of each.

    Args:
        streams: (F, T, 3, S, S) each. Filters of several frames have a row for each frame.
        path: A .png file.
    """
    stated = {name: measure(filters) for name, filters in streams.items()}
    sheets = {name: tiles(filters) for name, filters in streams.items()}
    frames = max(map(len, sheets.values()))
    columns = min(frames, _MOST_ACROSS)
    rows = -(-frames // columns)
    width = _INCHES if columns == 1 else _INCHES_OF_MANY
    shape = max(sheet.shape[1] / sheet.shape[2] for sheet in sheets.values())
    height = rows * (width * shape + (0.25 if frames > 1 else 0)) + 0.55
    with drawing(path, max(4.0, width * columns * len(streams)), height) as figure:
        parts = np.ravel(figure.subfigures(1, len(streams), squeeze=False))
        for part, (name, sheet) in zip(parts, sheets.items(), strict=True):
            said = stated[name]
            part.suptitle(
                f"{short(name, 40)}: {said.filters} filters\n{said.colour_share:.0%} of the energy is colour, "
                f"{said.frequency:.3f} cycles a pixel",
                fontsize=9,
            )
            for number, axes in enumerate(np.ravel(part.subplots(rows, columns, squeeze=False))):
                axes.set_axis_off()
                if number < len(sheet):
                    axes.imshow(sheet[number], interpolation="nearest")
                    if len(sheet) > 1:
                        axes.set_title(f"frame {number + 1}", fontsize=8)
    return stated


def draw_moving_filters(streams: Mapping[str, np.ndarray], path: Path) -> None:
    """Draw filters that see several frames as a moving picture, all streams side by side.

    Args:
        streams: (F, T, 3, S, S) each, of which one has T above 1.
        path: A .png file, which will be an animated PNG: all colours, in every browser.
    """
    sheets = [tiles(filters) for filters in streams.values()]
    frames, height = max(map(len, sheets)), max(sheet.shape[1] for sheet in sheets)
    pictures = []
    for number in range(frames):
        parts = []
        for sheet in sheets:
            part = np.full((height, sheet.shape[2] + 2, 3), 255, np.uint8)
            part[: sheet.shape[1], : sheet.shape[2]] = sheet[number % len(sheet)]
            parts.append(part)
        pictures.append(Image.fromarray(np.concatenate(parts, 1).repeat(_ZOOM, 0).repeat(_ZOOM, 1)))
    with whole(path, shared=True) as unfinished:
        pictures[0].save(
            unfinished, format="PNG", save_all=True, append_images=pictures[1:], duration=_MILLISECONDS, loop=0
        )
