"""Videos named on the command line, without labels: what `predict --predict.videos` reads."""

from collections.abc import Sequence
from pathlib import Path

from benchmark.data.datamodule import ClipsPerVideo, VideoDataModule
from benchmark.data.decode import DecoderName
from benchmark.data.index import Identity, VideoIndex
from benchmark.errors import DatasetNotFoundError
from benchmark.protocol import TEST_VIEWS, View

SUFFIXES = frozenset({".avi", ".mp4", ".mkv", ".webm", ".mov", ".mpg", ".mpeg", ".m4v", ".wmv", ".flv", ".3gp", ".ogv"})


class VideoFiles(VideoDataModule):
    """Any videos, to be predicted by a model whose classes are known.

    Args:
        videos: Files, or folders whose videos are taken with those of their subfolders.
        class_names: K names, in the order of the model's outputs.
        batch_size: About that many clips a batch.
        num_workers: Loader processes; 0 loads in the main process.
        clips_per_video: Clips of each video; `test` counts.
        test_views: Views of each clip.
        sampler_seed: Seed of the clip positions.
        decoder: Backend that decodes.
    """

    def __init__(
        self,
        videos: Sequence[Path],
        class_names: Sequence[str],
        *,
        batch_size: int = 32,
        num_workers: int = 2,
        clips_per_video: ClipsPerVideo = ClipsPerVideo(),
        test_views: Sequence[View] = TEST_VIEWS,
        sampler_seed: int = 2014,
        decoder: DecoderName = "pyav",
    ) -> None:
        super().__init__(
            None,
            batch_size=batch_size,
            num_workers=num_workers,
            clips_per_video=clips_per_video,
            test_views=test_views,
            sampler_seed=sampler_seed,
            decoder=decoder,
        )
        self.videos, self._class_names = tuple(videos), tuple(class_names)

    def read_index(self) -> VideoIndex:
        """List the files.

        Raises:
            DatasetNotFoundError: If a path does not exist, or no video is found.
        """
        files: dict[Path, None] = {}
        for path in self.videos:
            if not path.exists():
                raise DatasetNotFoundError(f"--predict.videos names {path}, which does not exist")
            found = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            files.update(dict.fromkeys(found))
        if not files:
            raise DatasetNotFoundError(
                f"--predict.videos {' '.join(map(str, self.videos))} holds no file "
                f"ending in {', '.join(sorted(SUFFIXES))}"
            )
        names = [str(path) for path in files]
        return VideoIndex.from_columns(
            Identity("VideoFiles"),
            Path(),
            self._class_names,
            video_id=names,
            path=names,
            labels=[[] for _ in names],
            split=["predict"] * len(names),
        )
