"""All pictures of some networks and tests in one folder, with what each shows, and what could not be drawn and why."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import UserError
from benchmark.figures.charts import (
    draw_class_differences,
    draw_classes,
    draw_confusions,
    draw_cost_split,
    draw_costs,
    draw_curves,
    draw_groups,
)
from benchmark.figures.choice import Frames, best_and_worst, most_changed, random_videos
from benchmark.figures.filter_pictures import draw_filters, draw_moving_filters
from benchmark.figures.filters import NOISE, FilterStatement, first_filters
from benchmark.figures.strips import Opinion, Strip, draw_strips
from benchmark.pages.sections import Picture
from benchmark.results.class_differences import (
    LEAST_SOURCES_OF_CLASS,
    ClassDifference,
    class_differences,
    confused_pairs,
)
from benchmark.results.class_shares import class_shares
from benchmark.results.comparison import common_videos
from benchmark.results.curves import Curves, read_curves
from benchmark.results.ledger import Ledger
from benchmark.results.record import Record, Value
from benchmark.results.statistics import LEAST_SOURCES
from benchmark.wording import counted

CLASSES_EACH_WAY = 10
CLASSES_AT_AN_END = 60
"""Of more than twice as many classes, so many of the best and of the worst are drawn."""

_COLOURS = "Blue: the truth. Bars: the most probable classes, green where right, red where wrong."


class Gallery:
    """Draws into a folder.

    Args:
        folder: Of the pictures.
        videos: Shown in each picture of test videos.
        seed: Of their draw.
    """

    def __init__(self, folder: Path, *, videos: int = 6, seed: int = 0) -> None:
        self.folder, self.videos, self.seed = folder, videos, seed
        self.pictures: list[Picture] = []
        self.holes: dict[str, str] = {}

    def filters(self, name: str, weights: Mapping[str, np.ndarray]) -> dict[str, FilterStatement]:
        """Figure 3 of a network: filters of its first layer, moving ones too; returns what was measured."""
        title, streams = f"First-layer filters of {name}", first_filters(weights)
        if not streams:
            self.holes[title] = "no layer of the network looks at red, green and blue directly"
            return {}
        path = self._path(f"filters {name}")
        stated = draw_filters(streams, path)
        self._note(path, title, filter_caption(stated))
        if max(filters.shape[1] for filters in streams.values()) > 1:
            path = self._path(f"moving filters {name}")
            draw_moving_filters(streams, path)
            self._note(path, f"{title}, moving", "Frame after frame, all streams side by side.")
        return stated

    def predictions(self, name: str, ledger: Ledger, frames: Frames) -> None:
        """Figure 4: test videos drawn at random, with the most probable classes."""
        title, rows = f"Predictions of {name}", random_videos(ledger, self.videos, self.seed)
        if not rows:
            self.holes[title] = "no labelled video was scored"
            return
        path = self._path(f"predictions {name}")
        draw_strips([_strip(row, {"": ledger}, frames) for row in rows], path)
        caption = f"{counted(len(rows), 'test video')} drawn at random (seed {self.seed}). {_COLOURS}"
        self._note(path, title, caption)

    def extremes(self, name: str, ledger: Ledger, frames: Frames) -> None:
        """The videos of which the model is most right, and most wrong."""
        for word, rows in zip(("Best", "Worst"), best_and_worst(ledger, self.videos), strict=True):
            title = f"{word} predictions of {name}"
            if not rows:
                self.holes[title] = "too few labelled videos were scored"
                continue
            path = self._path(f"{word} {name}")
            draw_strips([_strip(row, {"": ledger}, frames) for row in rows], path)
            most = "highest" if word == "Best" else "lowest"
            self._note(
                path,
                title,
                f"The {counted(len(rows), 'video')} whose true class has the {most} probability. {_COLOURS}",
            )

    def each_class(self, name: str, ledger: Ledger) -> None:
        """How well the model does on each class."""
        title, shares = f"Classes of {name}", class_shares(ledger)
        if not shares:
            self.holes[title] = "no labelled video was scored"
            return
        path, every = self._path(f"classes {name}"), len(shares)
        if every > 2 * CLASSES_AT_AN_END:
            shares = [*shares[:CLASSES_AT_AN_END], *shares[-CLASSES_AT_AN_END:]]
        draw_classes(shares, path)
        without = sum(np.isnan(share.low) for share in shares)
        lines = "Lines: 95% intervals" if without < len(shares) else "No intervals"
        few = f"; none where a class has videos of fewer than {LEAST_SOURCES} sources" if without else ""
        which = "" if len(shares) == every else f" The best and the worst {CLASSES_AT_AN_END} of {every:,} classes."
        self._note(path, title, f"Best first, with the number of videos.{which} {lines}{few}.")

    def pair(self, first: tuple[str, Ledger], second: tuple[str, Ledger], frames: Frames) -> None:
        """Where two models differ: Table 2 and Figure 5; or why they cannot be compared."""
        try:
            common_videos(first[1], second[1])
        except UserError as error:
            self.holes[f"{first[0]} against {second[0]}"] = str(error)
            return
        self.classes(first, second)
        self.changes(first, second, frames)

    def changes(self, first: tuple[str, Ledger], second: tuple[str, Ledger], frames: Frames) -> None:
        """Figure 5: the test videos that the first model improves most on the second, and that it worsens most."""
        one, other = common_videos(first[1], second[1])
        for word, rows in zip(("improved", "worsened"), most_changed(one, other, self.videos), strict=True):
            title = f"Videos most {word} by {first[0]} over {second[0]}"
            if not rows:
                self.holes[title] = f"no video is {word}"
                continue
            path = self._path(f"{word} {first[0]} over {second[0]}")
            draw_strips([_strip(row, {first[0]: one, second[0]: other}, frames) for row in rows], path)
            caption = (
                f"The {counted(len(rows), 'test video')} whose true class's probability {first[0]} "
                f"{'raises' if word == 'improved' else 'lowers'} most, against {second[0]}."
            )
            self._note(path, title, caption)

    def classes(
        self, first: tuple[str, Ledger], second: tuple[str, Ledger]
    ) -> tuple[list[ClassDifference], list[ClassDifference]]:
        """Table 2 as a picture; returns its rows both ways."""
        title = f"Average precision by class, {first[0]} less {second[0]}"
        better, worse = class_differences(*common_videos(first[1], second[1]), CLASSES_EACH_WAY)
        if not better and not worse:
            self.holes[title] = "no class differs"
            return better, worse
        path = self._path(f"classes {first[0]} less {second[0]}")
        draw_class_differences(better, worse, (first[0], second[0]), path)
        self._note(
            path,
            title,
            "The classes with the largest differences each way. Lines: 95% intervals, paired, sources kept together, "
            f"each for its class alone; none where its videos are of fewer than {LEAST_SOURCES_OF_CLASS} sources. "
            "Chosen for their size, the differences are on the whole smaller than they look here.",
        )
        return better, worse

    def confusions(self, name: str, ledger: Ledger) -> None:
        """The confusion matrix, and the pairs of classes most often confused."""
        path = self._path(f"confusions {name}")
        draw_confusions(ledger, path)
        pairs = confused_pairs(ledger, 5)
        said = "; ".join(f"{one} called {other} {counted(n, 'time')}, the reverse {m}" for one, other, n, m in pairs)
        self._note(
            path,
            f"Confusions of {name}",
            f"Most confused pairs of classes: {said}." if pairs else "No class is taken for another.",
        )

    def curves(self, folders: Mapping[str, Path]) -> None:
        """How the fits went, of all run folders that have a log."""
        title, held, why = "Training", {}, "no run folder of a fit was given"
        for name, folder in folders.items():
            try:
                held[name] = read_curves(folder)
            except UserError as error:
                why = str(error)
        if not held:
            self.holes[title] = why
            return
        path = self._path("training")
        draw_curves(held, path)
        self._note(path, title, "Loss, and Hit@1 of the validation videos, epoch by epoch.")

    def cost_split(self, curves: Curves) -> None:
        """Where the time of a fit went."""
        path, title = self._path("cost split"), "Time of training"
        if self._tried(title, lambda: draw_cost_split(curves, path)):
            self._note(path, title, "Of each epoch, without its validation: waiting for clips, and computing.")

    def costs(self, records: Mapping[str, Record]) -> None:
        """Accuracy against clips scored in a second."""
        path, title = self._path("speed"), "Accuracy and speed"
        if self._tried(title, lambda: draw_costs(records, path)):
            self._note(path, title, "Each test on its own machine, as its record says.")

    def groups(self, tests: Mapping[str, Mapping[str, Value]]) -> None:
        """Mean average precision of each group of classes, from the numbers of each test."""
        path, title = self._path("groups"), "Average precision by group of classes"
        if self._tried(title, lambda: draw_groups(tests, path)):
            self._note(path, title, "Lines: 95% intervals.")

    def own(self, name: str, title: str, caption: str, draw: Callable[[Path], None]) -> None:
        """A picture of another kind."""
        path = self._path(name)
        if self._tried(title, lambda: draw(path)):
            self._note(path, title, caption)

    def _tried(self, title: str, draw: Callable[[], None]) -> bool:
        """Draw, or note why that cannot be; returns whether it was drawn."""
        try:
            draw()
        except UserError as error:
            self.holes[title] = str(error)
            return False
        return True

    def _path(self, name: str) -> Path:
        """A file of its own for a name that may hold anything."""
        stem = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:120]
        taken, number = {picture.file for picture in self.pictures}, 0
        while (file := f"{stem}{f'-{number}' if number else ''}.png") in taken:
            number += 1
        return self.folder / file

    def _note(self, path: Path, title: str, caption: str) -> None:
        self.pictures.append(Picture(path.name, title, caption))


def filter_caption(stated: Mapping[str, FilterStatement]) -> str:
    """What was measured of the streams, in words."""
    parts = [
        f"{name}: {said.colour_share:.0%} of the filters' energy is colour, mean spatial frequency "
        f"{said.frequency:.3f} cycles a pixel of what it sees"
        + (f" ({said.frequency / 2:.3f} a pixel of the frame)" if name == "context" else "")
        for name, said in stated.items()
    ]
    return f"{'; '.join(parts)}. Filters of noise have {NOISE.colour_share:.0%} and {NOISE.frequency:.3f}."


def _strip(row: int, ledgers: Mapping[str, Ledger], frames: Frames) -> Strip:
    first = next(iter(ledgers.values()))
    names, video = first.info.class_names, first.video_ids[row]
    opinions = tuple(Opinion.of(ledger.scores[row], names, model) for model, ledger in ledgers.items())
    truth: Sequence[int] = np.flatnonzero(first.labels[row]).tolist()
    return Strip(video, frames(video), tuple(names[number] for number in truth), opinions)
