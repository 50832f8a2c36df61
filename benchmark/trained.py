"""A trained network in Python: its classes, and what it says of any videos."""

import dataclasses
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import pyarrow as pa

from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.data.decode import DecoderName
from benchmark.data.files import VideoFiles
from benchmark.errors import UserError
from benchmark.models import VideoClassifier
from benchmark.models.stored import read_checkpoint
from benchmark.plugins import load_plugins
from benchmark.protocol import TEST_VIEWS, View
from benchmark.runs.predictions import PredictedVideos
from benchmark.runs.screen import quiet
from benchmark.runs.trainer import PrecisionName, Trainer


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A network with the names of its classes.

    Args:
        network: In evaluation mode.
        class_names: K names, in the order of its outputs.
    """

    network: VideoClassifier
    class_names: tuple[str, ...]

    def predict(
        self,
        paths: str | PathLike[str] | Sequence[str | PathLike[str]],
        *,
        top: int | None = 5,
        clips: int = 20,
        views: Sequence[View] = TEST_VIEWS,
        clip_seconds: float | None = None,
        batch_size: int = 32,
        num_workers: int = 0,
        decoder: DecoderName = "pyav",
        accelerator: str = "auto",
        precision: PrecisionName = "auto",
    ) -> pa.Table:
        """What the verb `predict` writes of the same videos.

        Args:
            paths: A file or folder, or several; folders are taken with their subfolders.
            top: Classes a video; None is all of them.
            clips: Clips a video, whose probabilities are averaged.
            views: Views of each clip.
            clip_seconds: How long a clip lasts; None takes consecutive frames, as networks are trained by default.
            batch_size: Clips a batch.
            num_workers: Loader processes; 0 loads in this one.
            decoder: Backend that decodes.
            accelerator: `auto` takes a GPU where there is one.
            precision: `auto` is bf16-mixed where the machine has it, and 32-true elsewhere.

        Returns:
            One row a video, in the order found: `video`, `class_1`, `probability_1`, ..., and `failed`, the reason why
            a video could not be read. `.to_pandas()` makes a data frame of it.

        Raises:
            UserError: If a path does not exist or an option is not allowed.
        """
        if top is not None and top < 1:
            raise UserError(f"top is {top}; it must be 1 or more, or None for all classes")
        videos = [paths] if isinstance(paths, str | PathLike) else list(paths)
        data = VideoFiles(
            [Path(path) for path in videos],
            self.class_names,
            batch_size=batch_size,
            num_workers=num_workers,
            clips_per_video=ClipsPerVideo(test=clips),
            test_views=views,
            clip_seconds=clip_seconds,
            decoder=decoder,
        )
        data.named_by, data.says_what_it_found = "paths", False
        predicted = PredictedVideos(top)
        with quiet():
            runner = Trainer(
                accelerator=accelerator, devices=1, precision=precision, logger=False, callbacks=[predicted],
                enable_checkpointing=False, enable_progress_bar=False,
            )  # fmt: skip
            runner.predict(self.network, datamodule=data, return_predictions=False)
        if predicted.table is None:
            raise RuntimeError("this process is not the only one of its run")
        return predicted.table


def load(checkpoint: str | PathLike[str]) -> TrainedModel:
    """A trained network from its checkpoint alone.

    The file is read as tensors and plain values, and nothing outside this package is imported because it names it: its
    network's class, and those among its options, are of this package, of an installed plugin, or were imported before.

    Args:
        checkpoint: File that a fit has written, or an average.

    Raises:
        UserError: If the file is no such checkpoint, or names classes that are not known here.

    Example:
        >>> model = benchmark.load("runs/NAME/checkpoints/best.ckpt")
        >>> model.predict("videos/").to_pandas()
    """
    load_plugins()
    path = str(checkpoint)
    names = read_checkpoint(path, "checkpoint").get("class_names")
    if not names:
        raise UserError(f"checkpoint {path} does not know the names of its classes; give one that a fit has written")
    network = VideoClassifier.load_from_checkpoint(path)
    return TrainedModel(network.eval(), tuple(names))
