"""Tables of text, and their Markdown, in which text from others stays text."""

import dataclasses
import re
import unicodedata

UNKNOWN = "-"
"""A cell of which nothing is known."""


@dataclasses.dataclass(frozen=True)
class TextTable:
    """Cells of a table.

    Args:
        header: Names of the columns; the first one is left-aligned.
        rows: Each as long as the header.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """As Markdown, whatever signs the cells hold."""
        lines = [self.header, (":--", *["--:"] * (len(self.header) - 1)), *self.rows]
        cells = [line if number == 1 else [escape(cell) for cell in line] for number, line in enumerate(lines)]
        return "\n".join(f"| {' | '.join(line)} |" for line in cells)


# Dots that may belong to an address and not to a number or a sentence, and whatever is neither word nor punctuation.
_HARMFUL = re.compile(r"(?<!\d)\.(?!\s|\Z)|(?<=\d)\.(?!\d)|:(?!\s|\Z)|\+(?!\d)|@(?!\d+(?:\s|\Z))|[^\w .,:;()/%'@+-]|_")


def escape(text: str) -> str:
    """Text that Markdown, or HTML within Markdown, shows as it is: all but harmless signs as character references.

    W&B renders Markdown with HTML, formulas and links made of bare addresses, which backslashes do not prevent.
    """
    plain = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text)
    return _HARMFUL.sub(lambda match: f"&#{ord(match[0])};", plain)
