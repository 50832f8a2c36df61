"""SyntheticActions: sixteen classes of generated videos on which the paper's questions have known answers.

Generated once into the user's cache folder, as real MPEG-4 files of 50 frames, 320x240, 25 frames/s. Which question
each group of classes asks: `benchmark.data.synthetic_plan`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.data.datamodule import VideoDataModule
from benchmark.data.found import SUFFIXES
from benchmark.data.index import Split, VideoIndex, require_classes
from benchmark.data.synthetic_files import NAME, VERSION, read_annotation, require_videos
from benchmark.data.synthetic_plan import CLASSES, FOLDS, USUAL_SOURCE_GROUPS, validation_sources
from benchmark.errors import UserError
from benchmark.identity import Identity


def read_synthetic_index(
    root: Path | None = None,
    fold: int = 1,
    *,
    classes: Sequence[str] | None = None,
    source_groups: int = USUAL_SOURCE_GROUPS,
    generation_seed: int = 0,
) -> VideoIndex:
    """The generated videos of one fold, of which validation is held out of the training list by source group.

    Args:
        root: Folder that holds generated sets, or receives one; None is the user's cache folder.
        fold: 1 to 3; each tests on every third source group, so that the three together test each video once.
        classes: Names of the classes to keep, or None for all 16; labels are numbered over those kept.
        source_groups: Source groups of each class, with two videos each; fewer make a smaller set of its own.
        generation_seed: Seed of the set; another seed makes another set.

    Returns:
        One row a video of the chosen classes, without a path where the file was deleted.

    Raises:
        UserError: If an argument is not allowed, the folder cannot be written, or the set in it is damaged.
    """
    if fold not in FOLDS:
        raise UserError(f"data.fold is {fold}; {NAME} has the folds 1, 2 and 3. Change data.fold.")
    names = require_classes(classes, tuple(CLASSES))
    if root is not None:
        _require_no_others_videos(root)
    folder = require_videos(root, seed=generation_seed, source_groups=source_groups)
    annotation = read_annotation(folder)
    videos = [video for video in annotation["videos"] if set(video["labels"]) & set(names)]
    held_out = {f"g{source:02d}" for source in validation_sources(fold, source_groups)}
    split: list[Split] = [
        "test"
        if video["test_fold"] == fold
        else ("validation" if video["source_group"].partition("/")[2] in held_out else "train")
        for video in videos
    ]
    # Results on differing sets must not be ranked together.
    usual = (source_groups, generation_seed) == (USUAL_SOURCE_GROUPS, 0)
    return VideoIndex.from_columns(
        Identity(f"{NAME}-v{VERSION}" if usual else folder.name, fold, None if len(names) == len(CLASSES) else names),
        folder,
        names,
        video_id=[video["video_id"] for video in videos],
        path=[video["file"] if (folder / video["file"]).is_file() else None for video in videos],
        labels=[[names.index(label) for label in video["labels"] if label in names] for video in videos],
        split=split,
        source_group=[video["source_group"] for video in videos],
        class_groups=[CLASSES[name] for name in names],
        official_videos=len(videos),
    )


def _require_no_others_videos(root: Path) -> None:
    """Refuse to generate into class folders of somebody's own videos, which were probably meant."""
    if not root.is_dir() or any(root.glob(f"{NAME}-*")):
        return
    for folder in (entry for entry in sorted(root.iterdir()) if entry.is_dir()):
        if any(file.suffix.lower() in SUFFIXES for file in folder.iterdir()):
            raise UserError(
                f"data.root is {root}, which holds videos ({folder.name}/), and {NAME} generates its own; for yours "
                "add --data folder before --data.root, or --data ucf101 for UCF-101"
            )


class SyntheticActions(VideoDataModule):
    """Generated videos whose classes need a single frame, motion, detail or context by construction.

    The groups `appearance`, `motion`, `detail` and `context` have four classes each. No frame of a `motion` class
    tells it from the same movement played backwards; halving the resolution makes the `detail` classes equal; the
    `context` classes are equal but for the border of the picture. A horizontal flip never changes a class. About 5% of
    the videos have two labels, about 20% camera motion.

    Args:
        root: Folder that holds generated sets, or receives one; None is `$XDG_CACHE_HOME/clipbench` or
            `~/.cache/clipbench`.
        fold: 1 to 3; each tests on a third of the source groups.
        classes: Names of the classes to keep, or None for all 16.
        source_groups: Source groups of each class, with two videos each; fewer make a smaller set of its own.
        generation_seed: Seed of the generated videos, apart from `seed`.
        shared: What every data module takes, see `VideoDataModule`.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        fold: int = 1,
        classes: list[str] | None = None,
        source_groups: int = USUAL_SOURCE_GROUPS,
        generation_seed: int = 0,
        **shared: Any,
    ) -> None:
        super().__init__(root, **shared)
        self.fold, self.classes = fold, classes
        self.source_groups, self.generation_seed = source_groups, generation_seed

    def read_index(self) -> VideoIndex:
        """Read one fold, after generating the videos where they are not there."""
        return read_synthetic_index(
            self.root,
            self.fold,
            classes=self.classes,
            source_groups=self.source_groups,
            generation_seed=self.generation_seed,
        )
