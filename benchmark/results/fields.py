"""Fields of the files that strangers send: texts without tricks, counts that every reader can hold, small files."""

import errno
import math
import re
import stat
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from benchmark.plain_text import is_plain

_HASH = r"^[0-9a-f]{64}$"


def read_limited(path: Path, most: int = 1_000_000) -> bytes:
    """The bytes of a small file.

    Raises:
        OSError: If it cannot be read, has more than `most` bytes, or is no file, as a pipe that nobody writes to.
    """
    held = path.stat()
    if not stat.S_ISREG(held.st_mode):
        raise OSError(errno.EINVAL, "it is no plain file")
    if held.st_size > most:
        raise OSError(errno.EFBIG, f"it has {held.st_size:,} bytes; allowed are {most:,}")
    return path.read_bytes()


def _plain(text: str) -> str:
    if not is_plain(text):
        raise ValueError(
            f'{text[:80]!r} is blank, too long, or has control characters, piles of marks, or one of < > " ` | \\'
        )
    return text


def _inside(text: str) -> str:
    if "/" in text or "\\" in text or text in {".", ".."}:
        raise ValueError(f"{text[:80]!r} is no file name; it must name a file in the record's own folder")
    return _plain(text)


def _https(text: str) -> str:
    if not re.fullmatch(r"https://[\w.-]+(:\d+)?/[\w./~%+@=-]{0,2000}", text, re.ASCII) or ".." in text:
        raise ValueError(f"{text[:80]!r} is no plain https address")
    return text


def storable(value: Any) -> Any:
    """Refuse numbers that JSON cannot hold or other readers cannot read."""
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        storable(part)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number of JSON")
    if isinstance(value, int) and abs(value) >= 2**64:
        raise ValueError("an integer of more than 64 bits")
    return value


Plain = Annotated[str, AfterValidator(_plain)]
FileName = Annotated[str, AfterValidator(_inside)]
Https = Annotated[str, AfterValidator(_https)]
Sha256 = Annotated[str, Field(pattern=_HASH)]
Count = Annotated[int, Field(ge=0, le=2**53)]  # above that, readers in other languages round


class Part(BaseModel):
    """Data of strangers: exactly the fields named, of exactly their types, no infinity and no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
