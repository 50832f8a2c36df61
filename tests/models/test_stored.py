import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.errors import UserError
from benchmark.models import Average, Recipe, SingleFrame, SlowFusion, VideoClassifier
from benchmark.models.fusion import FusionNetwork
from tests.models.training import fitted


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    one, other = first.state_dict(), second.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[VideoClassifier, Path]:
    """A network that was trained, and its checkpoint."""
    folder = tmp_path_factory.mktemp("stored")
    network, runner = fitted(folder, epochs=1)
    runner.save_checkpoint(folder / "best.ckpt")
    return network, folder / "best.ckpt"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cls", [SingleFrame, FusionNetwork, VideoClassifier])
def test_a_network_comes_back_from_its_checkpoint_alone(
    cls: type[VideoClassifier], stored: tuple[VideoClassifier, Path]
) -> None:
    network, path = stored
    back = cls.load_from_checkpoint(path)
    assert type(back) is SingleFrame
    assert same(back, network)
    assert back.shape == network.shape
    clips = torch.randint(0, 256, (2, 1, back.input_side, back.input_side, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(back.eval()(clips), network.eval()(clips))


@pytest.mark.filterwarnings("ignore")
def test_options_that_are_given_win(stored: tuple[VideoClassifier, Path]) -> None:
    back = SingleFrame.load_from_checkpoint(stored[1], recipe=Recipe(learning_rate=0.125), dropout=0.25)
    assert back.recipe.learning_rate == 0.125
    assert back.hparams["dropout"] == 0.25
    with pytest.raises(UserError, match=r"best.ckpt makes no SingleFrame here"):
        SingleFrame.load_from_checkpoint(stored[1], width=0.5)
    with pytest.raises(UserError, match=r"best.ckpt makes no SingleFrame here"):
        SingleFrame.load_from_checkpoint(stored[1], wdith=0.5)


def test_another_class_is_refused_by_name(stored: tuple[VideoClassifier, Path]) -> None:
    with pytest.raises(UserError, match=r"is of a network of the class SingleFrame, and SlowFusion reads"):
        SlowFusion.load_from_checkpoint(stored[1])


class Runs:
    """Code in a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_code_in_a_checkpoint_does_not_run(stored: tuple[VideoClassifier, Path], tmp_path: Path) -> None:
    held = torch.load(stored[1], weights_only=True)
    mark, path = tmp_path / "ran", tmp_path / "bad.ckpt"
    torch.save({**held, "extra": Runs(mark)}, path)
    with pytest.raises(UserError, match=r"is no checkpoint, or is damaged"):
        VideoClassifier.load_from_checkpoint(path)
    path.write_bytes(pickle.dumps(Runs(mark)))
    with pytest.raises(UserError, match=r"is no checkpoint, or is damaged"):
        VideoClassifier.load_from_checkpoint(path)
    # Neither is a class imported that a file names.
    torch.save({**held, "architecture": {"class": "Mark"}, "hyper_parameters": {"_class_path": "mark.Mark"}}, path)
    (tmp_path / "mark.py").write_text(f"open({str(mark)!r}, 'w')", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        with pytest.raises(UserError, match=r"of the class mark.Mark, .*; import that class before"):
            VideoClassifier.load_from_checkpoint(path)
    assert not mark.exists()


def test_an_average_comes_back_as_one(tmp_path: Path) -> None:
    from benchmark.models.average import packed, read_parts

    torch.manual_seed(0)
    paths = []
    for number, cls in enumerate((SingleFrame, SlowFusion)):
        network = cls(3, width=0.05)
        shape, options = network.shape, {**network.built_with, "recipe": {}}
        del options["class"], options["recipe"]
        paths.append(tmp_path / f"{number}.ckpt")
        torch.save(
            {"state_dict": network.state_dict(), "architecture": shape, "hyper_parameters": options,
             "class_names": ["a", "b", "c"]}, paths[-1],
        )  # fmt: skip
    torch.save(packed(read_parts(paths)), tmp_path / "average.ckpt")
    back = VideoClassifier.load_from_checkpoint(tmp_path / "average.ckpt")
    assert isinstance(back, Average)
    assert same(back, Average(3, checkpoints=paths))
