"""Texts that a reader of a table, a terminal or a page sees as they are."""

import re
import unicodedata

# What a reader of a table sees; nothing that a terminal, a page or Markdown would take for anything but text.
_PLAIN = re.compile(
    r"(?=.*\S)[^\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff<>\"`|\\]{1,200}"
)

# To the eye they are blanks, though Unicode calls them letters and signs.
_BLANKS = "\u115f\u1160\u2800\u3164\uffa0"
_JOINERS = "\u200c\u200d"  # Persian and Hindi are not written without them
_MOST_MARKS = 4  # in a row; Vietnamese and Hebrew have three on one letter


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
