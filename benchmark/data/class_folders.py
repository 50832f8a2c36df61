"""Videos in class folders, which may be in folders named after the splits; what is left out is counted and named."""

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.data.found import SPLITS, SUFFIXES, FoundVideo, can_be_written, listed, split_of
from benchmark.data.index import Split
from benchmark.errors import UserError
from benchmark.wording import counted

log = logging.getLogger(__name__)


def scan_folder(root: Path) -> list[FoundVideo]:
    """The videos of class folders, which may be in folders named after the splits.

    Links are followed. A video whose link leads nowhere is among them, as one that is missing.

    Args:
        root: `root/CLASS/.../video.mp4`, `root/SPLIT/CLASS/.../video.mp4` or `root/CLASS/SPLIT/video.mp4`. It counts as
            split if a folder named after a split, see `split_of`, holds folders itself, or if every class folder
            holds such folders and nothing else. Videos under `root/predict` get no labels.

    Returns:
        The videos, sorted by split and class. A split without a folder stays empty.

    Raises:
        UserError: If two folders mean one split, or nobody can tell splits from classes.
    """
    folders = _subfolders(root)
    _name_lost_links(root)
    splits = {entry: split for entry in folders if (split := split_of(entry.name)) and split != "predict"}
    if not any(_subfolders(entry) for entry in splits):
        if folders and len(splits) == len(folders) > 1:
            raise UserError(
                f"{root} holds the splits {listed([e.name for e in splits])} and no class folders in them; expected "
                "SPLIT/CLASS/video.mp4. Move the videos, or describe them with data.annotations."
            )
        return _scan_classes(root, root, None) if not _is_split_below(root, folders) else _scan_split_classes(root)
    _require_clear(root, splits, folders)
    for entry in splits:
        _name_lost_links(entry)
    found = []
    for entry, split in sorted(splits.items()):
        held = _scan_classes(root, entry, split)
        if not held:
            log.warning("%s holds no video, so that the split %s is empty", entry, split)
        found += held
    for entry in folders:
        if split_of(entry.name) == "predict":
            found += [_found(root, file, (), "predict") for file in videos_under(entry)]
    return found


def _is_split_below(root: Path, classes: Sequence[Path]) -> bool:
    """Whether class folders are split themselves, as in CLASS/train/video.mp4.

    Raises:
        UserError: If some are and others not, or what is below splits are folders again.
    """
    below = {folder: _subfolders(folder) for folder in classes}
    split = [folder for folder, entries in below.items() if len({split_of(e.name) for e in entries} - {None}) > 1]
    named = [folder for folder, entries in below.items() if entries and all(split_of(e.name) for e in entries)]
    if not split:
        return False
    if len(classes) == 1:
        raise UserError(
            f"{root} holds one folder, {split[0].name}, and that holds splits "
            f"({listed([e.name for e in below[split[0]]])}); if it is the dataset, change data.root to {split[0]}"
        )
    whole = [folder for folder in named if not _loose_videos(folder) and not any(map(_subfolders, below[folder]))]
    if beside := [folder.name for folder in classes if folder not in whole]:
        raise UserError(
            f"{root} holds splits below {listed([folder.name for folder in split])}, but not clearly below "
            f"{listed(beside)}; expected SPLIT/CLASS/video.mp4, or CLASS/SPLIT/video.mp4 for all. Move the videos, or "
            "describe them with data.annotations."
        )
    log.warning("%s is split below its class folders: CLASS/SPLIT/video.mp4", root)
    return True


def _scan_split_classes(root: Path) -> list[FoundVideo]:
    """The videos of `root/CLASS/SPLIT/video.mp4`."""
    return [
        _found(root, file, () if split_of(entry.name) == "predict" else (folder.name,), split_of(entry.name))
        for folder in _subfolders(root)
        for entry in _subfolders(folder)
        for file in videos_under(entry)
    ]


def _loose_videos(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir() if entry.is_file() and entry.suffix.lower() in SUFFIXES]


def _require_clear(root: Path, splits: Mapping[Path, Split], folders: Sequence[Path]) -> None:
    for split, count in Counter(splits.values()).items():
        if count > 1:
            names = listed([entry.name for entry, held in splits.items() if held == split])
            raise UserError(
                f"{root} holds {count} folders for the split {split}: {names}. Keep one of them there, or describe the "
                "files with data.annotations."
            )
    beside = [entry.name for entry in folders if split_of(entry.name) is None]
    if beside and len(splits) == 1:
        (split_folder,) = splits
        raise UserError(
            f"{root} holds {split_folder.name}, which is the name of a split ({listed(sum(SPLITS.values(), ()))}), "
            f"beside {listed(beside)}, which are none. Rename the class, move the others, or describe the files with "
            "data.annotations."
        )
    if beside:
        log.warning("%s is split by folders; those beside them are left out: %s", root, listed(beside))


def videos_under(folder: Path) -> list[Path]:
    """Videos of a folder and all below it, sorted, links followed; without hidden ones and odd names."""
    videos: list[Path] = []
    unnamed: list[Path] = []
    others: Counter[str] = Counter()
    walked: set[str] = set()
    for parent, below, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in walked:  # a link to a folder around it
            below.clear()
            continue
        walked.add(real)
        below[:] = [name for name in below if not name.startswith(".")]
        for file in (Path(parent, name) for name in names if not name.startswith(".")):
            if file.suffix.lower() not in SUFFIXES:
                others[file.suffix.lower() or file.name] += 1
            elif file.is_file() or file.is_symlink():
                (videos if can_be_written(file) else unnamed).append(file)
    if unnamed:
        log.warning(
            "%s in %s left out for names that are not UTF-8 or hold control characters; rename: %s",
            counted(len(unnamed), "video"), folder,
            listed([ascii(str(file.relative_to(folder))) for file in sorted(unnamed)]),
        )  # fmt: skip
    if others:
        counts = listed([f"{count} {suffix}" for suffix, count in others.most_common()])
        files, end = counted(others.total(), "file"), "does" if others.total() == 1 else "do"
        log.warning("%s in %s %s not end as videos do, left out: %s", files, folder, end, counts)
    return sorted(videos)


def _scan_classes(root: Path, parent: Path, split: Split | None) -> list[FoundVideo]:
    if loose := _loose_videos(parent):
        is_out = "is in no class folder and is" if len(loose) == 1 else "are in no class folder and are"
        log.warning("%s directly in %s %s left out", counted(len(loose), "video"), parent, is_out)
    found = {folder: videos_under(folder) for folder in _subfolders(parent)}
    empty = [folder.name for folder, videos in found.items() if not videos]
    if empty:
        log.warning("folders of %s without a video become no classes: %s", parent, listed(empty))
    return [_found(root, file, (folder.name,), split) for folder, videos in found.items() for file in videos]


def _subfolders(folder: Path) -> list[Path]:
    entries = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    for entry in entries:
        if not can_be_written(entry):
            raise UserError(
                f"the folder {str(entry)!a} has a name that is not UTF-8 or holds control characters; rename it"
            )
    return entries


def _name_lost_links(folder: Path) -> None:
    """Say which links to folders lead nowhere; those to videos count as missing videos."""
    links = (entry for entry in folder.iterdir() if entry.is_symlink() and not entry.exists())
    gone = sorted(link.name for link in links if link.suffix.lower() not in SUFFIXES)
    if gone:
        log.warning("links in %s lead nowhere and are left out: %s", folder, listed(gone))


def _found(root: Path, file: Path, labels: tuple[str, ...], split: Split | None) -> FoundVideo:
    return FoundVideo(file.relative_to(root).as_posix(), labels, split)
