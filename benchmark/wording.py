"""Words of what is shown: things that are counted, and text in lines as wide as the terminal."""

import shutil
import sys
import textwrap
from typing import TextIO


def counted(count: int, one: str, several: str | None = None) -> str:
    """A number of things: `1 video`, `2 videos`, `1,200 classes`.

    Args:
        count: How many.
        one: What one of them is called, as `video`, or with what follows, as `video was`.
        several: What several are called; made from `one` by default.
    """
    return f"{count:,} {one if count == 1 else several or _several(one)}"


def _several(one: str) -> str:
    if one.endswith(("s", "x", "tch", "sh")):
        return f"{one}es"
    return f"{one[:-1]}ies" if one.endswith("y") and one[-2] not in "aeiou" else f"{one}s"


def wrapped(text: str, stream: TextIO) -> str:
    """Text for a stream: in a terminal its lines are broken between words, anywhere else they stay whole.

    Args:
        text: One line or several.
        stream: Where it is printed.
    """
    if not stream.isatty():
        return text
    width = max(shutil.get_terminal_size().columns - 1, 20)
    lines = [
        textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    ]
    return "\n".join(lines)


def say(text: str) -> None:
    """Print text at once, in lines as wide as the terminal."""
    print(wrapped(text, sys.stdout), flush=True)
