"""Videos without names, labels or order, as an audit shows them to a network that it does not trust."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from benchmark.data.datamodule import VideoDataModule
from benchmark.data.index import Video, VideoIndex
from benchmark.errors import UserError
from benchmark.files import write_whole
from benchmark.identity import Identity

FILE_NAME = "videos.json"


@dataclasses.dataclass(frozen=True)
class BlindedVideo:
    """A file under a name that says nothing.

    Args:
        path: Name of the file within the folder.
        starts: First frame of each clip; none leaves it to the name.
    """

    path: str
    starts: tuple[int, ...] = ()


def write_blinded(root: Path, class_names: Sequence[str], videos: Sequence[BlindedVideo]) -> None:
    """Say which videos a folder holds, in the order in which they are scored."""
    held = {"class_names": list(class_names), "videos": [dataclasses.asdict(video) for video in videos]}
    write_whole(root / FILE_NAME, json.dumps(held))


@dataclasses.dataclass(frozen=True)
class BlindedIndex(VideoIndex):
    """An index that says where clips begin, so that no name has to.

    Args:
        starts: Of each row, first frames of its clips.
    """

    starts: tuple[tuple[int, ...], ...] = ()

    def video(self, row: int) -> Video:
        """The video of a row."""
        return dataclasses.replace(super().video(row), starts=self.starts[row])

    @classmethod
    def of(cls, root: Path, class_names: Sequence[str], videos: Sequence[BlindedVideo]) -> Self:
        """The index of a folder's videos, all of them to be tested."""
        plain = VideoIndex.from_columns(
            Identity("blinded"),
            root,
            class_names,
            video_id=[Path(video.path).stem for video in videos],
            path=[video.path for video in videos],
            labels=[[] for _ in videos],
            split=["test"] * len(videos),
        )
        parts = {field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)}
        return cls(**parts, starts=tuple(video.starts for video in videos))


class BlindedVideos(VideoDataModule):
    """What `write_blinded` has left in a folder.

    Args:
        root: The folder.
        shared: What every data module takes, see `VideoDataModule`.
    """

    def __init__(self, root: Path, **shared: Any) -> None:
        super().__init__(root, **shared)
        self.videos_root = root

    def read_index(self) -> VideoIndex:
        """Read the list.

        Raises:
            UserError: If there is none.
        """
        try:
            held = json.loads((self.videos_root / FILE_NAME).read_text("utf-8"))
            videos = [BlindedVideo(video["path"], tuple(video["starts"])) for video in held["videos"]]
            return BlindedIndex.of(self.videos_root, held["class_names"], videos)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.videos_root} holds no blinded videos ({error}); `leaderboard audit` makes them"
            ) from None
