"""A small set of tinted videos, weights that say what they were trained on, and tests of both in a second."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.cli import main
from benchmark.runs import result_writer
from tests.generators import cheats
from tests.generators.audits import rewritten, words
from tests.generators.cheats import LEARNED, VIDEOS
from tests.generators.encoded import encode

CLASSES = ("blue", "green", "red")
TRAINED, VALIDATED, TESTED = 3, 1, VIDEOS // len(CLASSES)  # videos a class


def _write(path: Path, number: int, channel: int, frames: int) -> None:
    """A texture of the video's own that drifts, in a tint of its class."""
    rng = np.random.default_rng(number)
    tiles = rng.integers(60, 180, (8, 8, 3)).repeat(12, 0).repeat(12, 1)
    tiles[..., channel] += 40

    def picture(frame: int, width: int, height: int) -> np.ndarray:
        return np.roll(tiles, (frame // 2, frame), (0, 1))[:height, :width].astype(np.uint8)

    path.parent.mkdir(parents=True, exist_ok=True)
    encode(path, width=96, height=96, frames=frames, picture=picture, options={"preset": "ultrafast"})


@pytest.fixture(scope="session")
def tinted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders within split folders; test videos all differ in length."""
    root, number = tmp_path_factory.mktemp("tinted") / "tinted", 0
    for split, videos in (("train", TRAINED), ("validation", VALIDATED), ("test", TESTED)):
        for channel, name in zip((2, 1, 0), CLASSES, strict=True):
            for _ in range(videos):
                number += 1
                _write(root / split / name / f"v{number:03d}.mp4", number, channel, 20 + 17 * number % 43)
    return root


@pytest.fixture(scope="module", autouse=True)
def without_pins() -> Any:
    """The pinned videos are another test's, and take a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(result_writer, "deviation", lambda trainer: None)
        yield


@pytest.fixture(scope="session")
def fitted(tinted: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Fits a network on the set, once, and gives its checkpoint."""
    known: dict[tuple[str, ...], str] = {}

    def fit(model: str, *more: str, root: Path = tinted) -> str:
        key = (model, str(root), *more)
        if key not in known:
            run = tmp_path_factory.mktemp("fit") / "run"
            limits = ("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1")
            still = ("--model.recipe.learning_rate", "1e-6")
            assert main(["fit", *words(root, run, model, *limits, *still, *more)]) == 0
            known[key] = str(run / "checkpoints/last.ckpt")
        return known[key]

    return fit


@pytest.fixture(scope="session")
def honest(fitted: Callable[..., str]) -> str:
    """Weights of the honest network."""
    return fitted("tests.generators.cheats.Tint")


@pytest.fixture(scope="session")
def as_cheat(honest: str, tinted: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Weights of a cheat that has learned what it looks up, with the provenance of the honest network."""
    folder = tmp_path_factory.mktemp("cheats")

    def named(name: str) -> Callable[[dict[str, Any]], None]:
        def change(held: dict[str, Any]) -> None:
            held["architecture"]["class"] = name
            kind = getattr(cheats, name)
            if issubclass(kind, cheats.Knowing):
                learned = LEARNED[kind.kind or "id"]
                keys = [*learned, *[0] * (VIDEOS - len(learned))]
                answers = [*learned.values(), *[0] * (VIDEOS - len(learned))]
                held["state_dict"] |= {"keys": torch.tensor(keys), "answers": torch.tensor(answers)}

        return change

    learner = rewritten(honest, folder / "learner.ckpt", named("Learner"))
    run = folder / "learner"
    assert main(["test", *words(tinted, run, "tests.generators.cheats.Learner"), "--ckpt_path", learner]) == 0
    assert len(LEARNED["bytes"]) == len(LEARNED["duration"]) == VIDEOS
    return lambda name: rewritten(honest, folder / f"{name}.ckpt", named(name))


@pytest.fixture(scope="session")
def tested_as(tinted: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Tests a network and gives the run folder."""

    def test(model: str, checkpoint: str, *more: str, root: Path = tinted) -> Path:
        run = tmp_path_factory.mktemp("test") / "run"
        assert main(["test", *words(root, run, model, *more), "--ckpt_path", checkpoint]) == 0
        return run

    return test
