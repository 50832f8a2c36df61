"""Videos named on the command line, without labels: what `predict --predict.videos` reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.data.class_folders import videos_under
from benchmark.data.datamodule import VideoDataModule
from benchmark.data.found import SUFFIXES, can_be_written
from benchmark.data.index import VideoIndex
from benchmark.errors import DatasetNotFoundError, UserError, no_such_video
from benchmark.identity import Identity


class VideoFiles(VideoDataModule):
    """Any videos, to be predicted by a model whose classes are known.

    Args:
        videos: Files, or folders whose videos are taken with those of their subfolders.
        class_names: K names, in the order of the model's outputs.
        shared: What every data module takes, see `VideoDataModule`.
    """

    named_by = "--predict.videos"
    """What messages call the option that named the videos."""

    def __init__(
        self,
        videos: Sequence[Path],
        class_names: Sequence[str],
        **shared: Any,
    ) -> None:
        super().__init__(None, **shared)
        self.videos, self._class_names = tuple(videos), tuple(class_names)

    def read_index(self) -> VideoIndex:
        """List the files.

        Raises:
            DatasetNotFoundError: If a path does not exist, or no video is found.
        """
        files: dict[Path, None] = {}
        for path in self.videos:
            if not path.exists():
                raise no_such_video(self.named_by, path)
            if not can_be_written(path):
                raise UserError(
                    f"{self.named_by} names {str(path)!a}, whose name is not UTF-8 or holds control "
                    "characters; rename it"
                )
            files.update(dict.fromkeys([path] if path.is_file() else videos_under(path)))
        if not files:
            raise DatasetNotFoundError(
                f"{self.named_by} {' '.join(map(str, self.videos))} holds no file "
                f"ending in {', '.join(sorted(SUFFIXES))}"
            )
        names = [path.as_posix() for path in files]  # the same name on every system
        return VideoIndex.from_columns(
            Identity("VideoFiles"),
            Path(),
            self._class_names,
            video_id=names,
            path=names,
            labels=[[] for _ in names],
            split=["predict"] * len(names),
            ids_are_typed=True,
        )
