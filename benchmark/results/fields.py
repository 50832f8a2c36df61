"""Fields of the files that strangers send: texts without tricks, counts that every reader can hold, small files."""

import errno
import math
import re
import stat
import unicodedata
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# What a reader of a table sees; nothing that a terminal, a page or Markdown would take for anything but text.
_PLAIN = re.compile(
    r"(?=.*\S)[^\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff<>\"`|\\]{1,200}"
)
_HASH = r"^[0-9a-f]{64}$"


# To the eye they are blanks, though Unicode calls them letters and signs.
_BLANKS = "\u115f\u1160\u2800\u3164\uffa0"
_JOINERS = "\u200c\u200d"  # Persian and Hindi are not written without them
_MOST_MARKS = 4  # in a row; Vietnamese and Hebrew have three on one letter


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


def _is_seen(text: str) -> bool:
    """Whether something of a text is there to be seen, and nothing in it draws over its neighbours."""
    seen = [sign for sign in text if sign not in _JOINERS]
    kinds = [unicodedata.category(sign) for sign in seen]
    marks = 0
    for kind in kinds:
        marks = marks + 1 if kind in {"Mn", "Me"} else 0
        if marks > _MOST_MARKS or kind in {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}:
            return False
    return any(kind[0] in "LNPS" and sign not in _BLANKS for kind, sign in zip(kinds, seen, strict=True))


def is_plain(text: str) -> bool:
    """Whether a reader of a table sees a text as it is."""
    return bool(_PLAIN.fullmatch(text)) and _is_seen(text)


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
