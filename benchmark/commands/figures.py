"""Draws everything that runs, ledgers and checkpoints have to show, and says what cannot be drawn and why."""

import dataclasses
from collections.abc import Callable, Container, Sequence
from pathlib import Path

import numpy as np

from benchmark.command_line import Parser
from benchmark.commands.chosen_data import recorded_data
from benchmark.errors import UserError, printable
from benchmark.extras import require_extra
from benchmark.files import file_hash
from benchmark.models.stored import read_checkpoint
from benchmark.results.ledger import FILE_NAME, Ledger
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import Record
from benchmark.runs.folder import require_writable

_EPILOG = """Give folders of fits and tests, ledgers, checkpoints, or several of them. The first test is compared with
each of the others: classes and videos on which it is better or worse."""


@dataclasses.dataclass(frozen=True)
class _Test:
    name: str
    ledger: Ledger
    record: Record | None


def main(argv: Sequence[str]) -> int:
    """Run `figures PATH... --out DIR [options]` and return the exit code."""
    parser = Parser(prog="clipbench figures", description="Draw runs, ledgers and checkpoints.", epilog=_EPILOG)
    parser.add_argument("paths", type=Path, nargs="+", help=f"Run folders, {FILE_NAME} files and checkpoints.")
    parser.add_argument("--out", type=Path, required=True, help="Folder for the pictures.")
    parser.add_argument("--videos", type=int, default=6, help="Test videos in a picture.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of their draw.")
    parser.add_argument("--data_root", type=Path | None, default=None, help="Folder of the videos; the recorded one.")
    parser.add_argument("--lists", type=Path | None, default=None, help="Folder of the official lists.")
    parser.add_argument(
        "--trust_code", type=bool, default=False, help="Run data classes from outside this package that a record names."
    )
    chosen = parser.parse_args(list(argv))
    require_extra("matplotlib", "figures")
    if not 1 <= chosen.videos <= 30 or chosen.seed < 0:
        raise UserError(f"--videos is {chosen.videos} and --seed {chosen.seed}; allowed are 1 to 30, and 0 or more")
    tests, checkpoints, fits = _found(chosen.paths)
    require_writable(chosen.out, "--out")
    from benchmark.figures.gallery import Gallery  # imports matplotlib
    from benchmark.runs.pictures import convolution_weights

    gallery = Gallery(chosen.out, videos=chosen.videos, seed=chosen.seed)
    for name, path in checkpoints.items():
        gallery.filters(name, convolution_weights(read_checkpoint(str(path), "figures")["state_dict"]))
    for number, test in enumerate(tests):
        frames: Callable[[str], np.ndarray | None] = _no_frames
        try:
            frames = _frames(test, chosen.data_root, chosen.lists, chosen.trust_code)
        except UserError as error:
            gallery.holes[f"Frames of the videos of {test.name}"] = str(error)
        gallery.predictions(test.name, test.ledger, frames)
        gallery.confusions(test.name, test.ledger)
        if number:
            gallery.pair((tests[0].name, tests[0].ledger), (test.name, test.ledger), frames)
    records = {test.name: test.record for test in tests if test.record is not None}
    gallery.costs(records)
    gallery.groups({name: record.metrics for name, record in records.items()})
    gallery.curves(fits)
    for picture in gallery.pictures:
        print(f"{chosen.out / picture.file}\n  {printable(picture.title)}. {printable(picture.caption)}")
    for title, reason in gallery.holes.items():
        print(f"not drawn: {printable(title)}: {printable(reason)}")
    return 0


def _no_frames(video: str) -> None:
    """Frames of videos that are not here."""


def _frames(
    test: _Test, data_root: Path | None, lists: Path | None, trust_code: bool
) -> Callable[[str], np.ndarray | None]:
    if test.record is None:
        raise UserError(f"there is no {RECORD_NAME} of the ledger, which says where they are")
    return recorded_data(test.record, data_root, lists, trust_code).shown_frames


def _found(paths: Sequence[Path]) -> tuple[list[_Test], dict[str, Path], dict[str, Path]]:
    """Tests, checkpoints and folders of fits among some paths, by names that differ.

    Raises:
        UserError: If a path holds nothing to draw.
    """
    tests: list[_Test] = []
    checkpoints: list[Path] = []
    folders: list[Path] = []
    for path in paths:
        ledger, best = (path / FILE_NAME, path / "checkpoints/best.ckpt") if path.is_dir() else (path, path)
        is_test = ledger.is_file() and ledger.suffix == Path(FILE_NAME).suffix
        is_fit = best.is_file() and best.suffix == ".ckpt"
        if not is_test and not is_fit:
            raise UserError(
                f"{path} is neither a {FILE_NAME} nor a checkpoint, nor a folder with one of them; give what a fit or "
                "a test has left"
            )
        if is_test:
            tests.append(_test(ledger))
        if is_fit:
            checkpoints.append(best)
            if path.is_dir():
                folders.append(path)
    names = _tested_weights(tests)
    named: dict[str, Path] = {}
    fits: dict[str, Path] = {}
    for best in checkpoints:
        folder = best.parent.parent if best.parent.name == "checkpoints" else best.with_suffix("")
        name = _other(names.get(file_hash(best), folder.name), named)
        named[name] = best
        if folder in folders:
            fits[name] = folder
    taken: dict[str, _Test] = {}
    for test in tests:
        name = _other(test.name, taken)
        taken[name] = dataclasses.replace(test, name=name)
    return list(taken.values()), named, fits


def _test(ledger: Path) -> _Test:
    """A ledger, with the record beside it where that is of this ledger."""
    try:
        record = Record.read(ledger.parent / RECORD_NAME)
    except UserError:
        record = None
    if record is None or record.ledger.sha256 != file_hash(ledger):
        return _Test(ledger.parent.name or str(ledger), Ledger.read(ledger), None)
    return _Test(record.name, Ledger.read(ledger), record)


def _tested_weights(tests: Sequence[_Test]) -> dict[str, str]:
    """Names of tests by the hash of their weights."""
    return {test.record.checkpoint.sha256: test.name for test in tests if test.record is not None}


def _other(name: str, taken: Container[str]) -> str:
    """The name, with a number where it is taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name} ({number})"
    return found
