"""Sections of a report: what each says, its tables and pictures, and what is not there and why."""

import dataclasses

from benchmark.pages.tables import TextTable


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that was drawn.

    Args:
        file: Its name in the folder.
        title: In a few words.
        caption: What it shows, and by which rule it was chosen.
    """

    file: str
    title: str
    caption: str


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a report.

    Args:
        title: Such as `Table 1`.
        about: What it shows.
        tables: Each with a heading, which may be empty.
        pictures: That were drawn.
        notes: Sentences to read with them.
        holes: What is not there, and why.
        text: A file's content, shown as it is.
        beside: Whether the first table gets most of the width, and the second is beside it.
    """

    title: str
    about: str
    tables: tuple[tuple[str, TextTable], ...] = ()
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()
    holes: tuple[str, ...] = ()
    text: str = ""
    beside: bool = False
