"""The official test lists of public datasets, which bind what an entry must hold: every video, its labels and source.

`official_lists.json` has them in short: of each class, how many clips each source group has, and what other classes a
clip has. Videos are named alike in all of them, `v_Archery_g01_c03`, but for one class that its files spell otherwise.
"""

import dataclasses
import functools
import json
from collections.abc import Collection
from importlib import resources
from typing import Any

from benchmark.results.ledger import Ledger
from benchmark.wording import counted

_NAMED = 3


@dataclasses.dataclass(frozen=True)
class OfficialVideo:
    """One video of a list.

    Args:
        source_group: As in a ledger, "Archery/g01".
        classes: Names of its classes, sorted.
    """

    source_group: str
    classes: tuple[str, ...]


@functools.cache
def _lists() -> dict[str, Any]:
    held: dict[str, Any] = json.loads((resources.files(__package__) / "official_lists.json").read_text("utf-8"))
    return held


def official_videos(dataset: str, fold: int | None, classes: Collection[str] | None) -> dict[str, OfficialVideo] | None:
    """The test videos of some classes by name, or None where no list of the dataset and fold comes with the package."""
    held = _lists().get(dataset, {}).get(str(fold))
    if held is None:
        return None
    found = {}
    for name, clips in held["clips"].items():
        for group, count in zip(held["groups"], clips, strict=True):
            for clip in range(1, count + 1):
                video = f"v_{held['spelt'].get(name, name)}_g{group:02d}_c{clip:02d}"
                labels = {name, *held["also"].get(video, ())}
                chosen = sorted(labels if classes is None else labels & set(classes))
                if chosen:
                    found[video] = OfficialVideo(f"{name}/g{group:02d}", tuple(chosen))
    return found


def check_official(ledger: Ledger) -> list[str]:
    """What a ledger holds otherwise than the official list of its dataset; empty where there is no list."""
    info = ledger.info
    official = official_videos(info.dataset, info.fold, info.classes)
    if official is None:
        folds = _lists().get(info.dataset, ())
        return [f"of {info.dataset} there is no fold {info.fold}; its folds: {', '.join(folds)}"] if folds else []
    columns = (ledger.video_ids, ledger.table["source_group"].to_pylist(), ledger.table["labels"].to_pylist())
    held = {
        video: OfficialVideo(group, tuple(sorted(info.class_names[label] for label in labels)))
        for video, group, labels in zip(*columns, strict=True)
    }
    where = f"the official test list of {info.dataset}, fold {info.fold}"
    found = []
    if info.official_videos != len(official):
        found.append(
            f"it says that {counted(info.official_videos or 0, 'video is', 'videos are')} "
            f"official; {where}, has {len(official)}"
        )
    if strange := sorted(held.keys() - official.keys()):
        found.append(f"{where}, lacks {_named(strange)}")
    if lacking := sorted(official.keys() - held.keys()):
        found.append(f"it lacks {_named(lacking)} of {where}; one that cannot be read counts as failed, not as absent")
    if wrong := sorted(video for video in held.keys() & official.keys() if held[video] != official[video]):
        found.append(f"{where}, has other classes or another source for {_named(wrong)}")
    return found


def _named(videos: list[str]) -> str:
    more = f" and {len(videos) - _NAMED} more" if len(videos) > _NAMED else ""
    return f"{', '.join(videos[:_NAMED])}{more}"
