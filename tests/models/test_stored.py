import math
import pickle
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

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
    with pytest.raises(
        UserError, match=r"is of a network of the class benchmark.models.single_frame.SingleFrame, and SlowFusion reads"
    ):
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
        with pytest.raises(UserError, match=r"of the class mark.Mark, .*; import it before"):
            VideoClassifier.load_from_checkpoint(path)
    assert not mark.exists()


def average_of(options: dict[str, Any], name: str, path: Path) -> Path:
    """A checkpoint of an average of two members of a class, with options as somebody wrote them."""
    member = {"name": "a", "sha256": "0" * 64, "shape": {"class": name}, "options": options, "share": 0.5}
    held = {"state_dict": {"members.0.a": torch.zeros(1)}, "architecture": {"class": "Average"}}
    torch.save({**held, "class_names": ["a", "b"], "average": [member, member]}, path)
    return path


class TakesClasses(SingleFrame):
    """One with classes and functions among its options."""

    def __init__(
        self,
        num_classes: int,
        *,
        layers: Sequence[type[torch.nn.Module]] = (),
        activation: Callable[..., Any] = torch.relu,
        width: float = 0.05,
    ) -> None:
        super().__init__(num_classes, width=width)
        self.taken = [*layers, activation]


@pytest.mark.parametrize("inner", [["mark.Mark"], "[mark.Mark]", '["\\x6dark.Mark"]', ["os.system"]])
def test_no_option_of_a_checkpoint_imports_code(inner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mark.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    held = {"state_dict": TakesClasses(3).state_dict(), "architecture": {"class": "TakesClasses"}}
    strange = "os.system" if inner == ["os.system"] else "mark.Mark"
    for options in ({"layers": inner}, {"activation": {"class_path": strange}}, {"activation": strange}):
        torch.save({**held, "hyper_parameters": {"num_classes": 3, **options}}, tmp_path / "bad.ckpt")
        with pytest.raises(UserError, match=rf"bad.ckpt names {strange}, code that is neither of this package"):
            VideoClassifier.load_from_checkpoint(tmp_path / "bad.ckpt")
        path = average_of(options, "TakesClasses", tmp_path / "average.ckpt")
        with pytest.raises(UserError, match=rf"names {strange}, code that is neither of this package"):
            VideoClassifier.load_from_checkpoint(path)
    path = average_of({"checkpoints": ["x.ckpt"], "classes": inner}, "Average", tmp_path / "average.ckpt")
    with pytest.raises(UserError, match="is an average within an average"):
        VideoClassifier.load_from_checkpoint(path)
    assert not (tmp_path / "ran").exists()


def test_options_may_name_what_is_imported_or_given(tmp_path: Path) -> None:
    held = {"state_dict": TakesClasses(3).state_dict(), "architecture": {"class": "TakesClasses"}}
    options = {"num_classes": 3, "layers": ["torch.nn.Linear"], "activation": "torch.nn.functional.silu"}
    torch.save({**held, "hyper_parameters": options}, tmp_path / "own.ckpt")
    assert TakesClasses.load_from_checkpoint(tmp_path / "own.ckpt").taken == [torch.nn.Linear, torch.nn.functional.silu]
    given = TakesClasses.load_from_checkpoint(tmp_path / "own.ckpt", activation="math.sqrt")
    assert given.taken == [torch.nn.Linear, math.sqrt]


class Shared(SingleFrame):
    """One whose name another class has too."""


def test_of_classes_of_one_name_the_one_that_the_checkpoint_names_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = types.new_class("Shared", (SingleFrame,))
    other.__module__ = "some_plugin"
    monkeypatch.setitem(sys.modules, "package_of_it", cast(Any, types.SimpleNamespace(Shared=Shared)))
    held = {"state_dict": Shared(3, width=0.05).state_dict(), "architecture": {"class": "Shared"}}
    path = tmp_path / "best.ckpt"

    def save(**more: str) -> None:
        options = {"num_classes": 3, "width": 0.05, **more}
        torch.save({**held, "class_names": ["a", "b", "c"], "hyper_parameters": options}, path)

    for named, cls in ((f"{__name__}.Shared", Shared), ("package_of_it.Shared", Shared), ("some_plugin.Shared", other)):
        save(_class_path=named)
        assert type(VideoClassifier.load_from_checkpoint(path)) is cls
        assert [type(each) for each in Average(3, checkpoints=[path, path]).networks] == [cls, cls]
    for more, said in (({"_class_path": "elsewhere.Shared"}, "says elsewhere.Shared"), ({}, "does not say which")):
        save(**more)
        with pytest.raises(UserError, match=rf"several classes are called Shared: some_plugin.*; .* {said}"):
            VideoClassifier.load_from_checkpoint(path)
        with pytest.raises(UserError, match=rf"several classes are called Shared: some_plugin.*; .* {said}"):
            Average(3, checkpoints=[path, path])


def test_a_checkpoint_says_where_its_class_is(stored: tuple[VideoClassifier, Path]) -> None:
    held = torch.load(stored[1], weights_only=True)["hyper_parameters"]
    assert held["_class_path"] == "benchmark.models.single_frame.SingleFrame"


def test_a_class_that_was_defined_again_is_the_last_one(tmp_path: Path) -> None:
    def defined() -> type[VideoClassifier]:
        class Again(SingleFrame):
            pass

        return Again

    old, new = defined(), defined()
    held = {"state_dict": old(3, width=0.05).state_dict(), "architecture": {"class": "Again"}}  # type: ignore[call-arg]
    torch.save({**held, "hyper_parameters": {"num_classes": 3, "width": 0.05}}, tmp_path / "best.ckpt")
    assert type(VideoClassifier.load_from_checkpoint(tmp_path / "best.ckpt")) is new


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
