"""Plain, aligned text for a terminal or a pipe, in which names from other people's files do no harm."""

import contextlib
import dataclasses
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import UserError, printable
from benchmark.files import write_whole
from benchmark.metrics.descriptors import MAP, score_of
from benchmark.results.record import Value
from benchmark.results.statistics import LEAST_SOURCES

NO_INTERVALS = (
    "no intervals for scores that are no shares, as they would take minutes; ask for them with --map_intervals true"
)


def too_few(sources: int, units: str) -> str:
    """Why there are no intervals."""
    return f"no intervals: it takes {LEAST_SOURCES} {units}, and there {'is' if sources == 1 else 'are'} {sources}"


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: the first column to the left, the others to the right."""
    lines = [[printable(cell) for cell in line] for line in (header, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]).rstrip()
        for line in lines
    )


def number(name: str, value: float | None, *, signed: bool = False) -> str:
    """A value of a score as that is shown, average precision of a class (`ap`) as it is; a dash where there is none."""
    if value is None or math.isnan(value):
        return "-"
    return (MAP if name == "ap" else score_of(name)).text(value, signed=signed)


def interval(name: str, low: float | None, high: float | None, *, signed: bool = False) -> str:
    """A 95% interval, or nothing."""
    if low is None or high is None or math.isnan(low):
        return ""
    return f"{number(name, low, signed=signed)} to {number(name, high, signed=signed)}"


def cells(name: str, value: Value) -> list[str]:
    """A value and its interval."""
    return [number(name, value.value), interval(name, value.low, value.high)]


def write_or_print(text: str, output: Path | None) -> int:
    """Write a file and say so, or print the text where there is none; returns the exit code 0.

    Raises:
        UserError: If the file cannot be written.
    """
    if output is None:
        print(text, end="")
        return 0
    try:
        write_whole(output, text)
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror}; name another place") from error
    print(f"wrote {output}")
    return 0


@contextlib.contextmanager
def json_instead(wanted: bool) -> Iterator[dict[str, Any]]:
    """Where it is wanted, leave out what is printed within, and print as JSON what was put into the dictionary.

    Nothing is printed where the verb ends with an error. What is no number (NaN) becomes null.

    Args:
        wanted: Whether `--json` was given.
    """
    content = dict[str, Any]()
    if not wanted:
        yield content
        return
    with contextlib.redirect_stdout(io.StringIO()):
        yield content
    print(json.dumps(_plain(content), indent=1, allow_nan=False))


def _plain(value: Any) -> Any:
    """What JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
