"""Every check passes for a sound architecture and the built-in ones, and fails for one with the fault it looks for."""

import inspect
from pathlib import Path
from typing import get_args

import pytest
import torch
import yaml

from benchmark.conformance import CHECKS, ConformanceSuite, Subject, run_check
from benchmark.models import EarlyFusion, LateFusion, SingleFrame, SlowFusion
from benchmark.models.layers import Resolution
from tests.generators import broken_models

ROOT = Path(__file__).resolve().parents[2]
BROKEN = {
    "OutsideTheClip": ("declaration", "frame_offsets is (0, 16)"),
    "OneNumber": ("declaration", "frame_offsets is 8"),
    "TooLarge": ("declaration", "input_side is 224"),
    "OneLogitTooMany": ("shapes", "forward gives (1, 6) torch.float32 for 1 clip in evaluation with 5 classes"),
    "OtherSide": ("shapes", "forward raises RuntimeError: shape '[-1, 2, 17, 17, 3]' is invalid"),
    "NotFinite": ("shapes", "logits are not finite"),
    "BatchNorm": ("shapes", "Expected more than 1 value per channel"),
    "NeedsClips": ("no_clips", "a batch of no clips in evaluation raises"),
    "ChangesItsInput": ("frames", "forward changes the frames it is given"),
    "IdleFrame": ("frames", "logits do not depend on frame 15 of frame_offsets"),
    "IdleParameter": ("gradients", "idle.weight, idle.bias gets no gradient"),
    "Detached": ("gradients", "hidden.weight, hidden.bias, norm.weight and 1 more gets no gradient"),
    "WildGradient": ("gradients", "is not finite"),
    "SystemNoise": ("seed", "two networks built with one seed differ in hidden.weight"),
    "RandomTraining": ("seed", "one seed gives two outputs in training"),
    "RandomBehindZero": ("seed", "one seed gives two outputs in training"),
    "RandomEvaluation": ("seed", "evaluation of the same clips twice gives two outputs"),
    "HiddenState": ("state_dict", "a network with the loaded state gives another output"),
    "GrowingState": ("state_dict", "its own state does not load into a new network"),
    "LooksAtNeighbours": ("batch_independence", "with its neighbours in the batch"),
    "GroupLacks": ("layer_groups", "layer_groups lacks norm.weight, norm.bias"),
    "GroupTwice": ("layer_groups", "layer_groups holds classifier.bias, classifier.weight more than once"),
    "GroupOrder": ("layer_groups", "depends on the number of classes but is not in the last group"),
    "GroupWhole": ("layer_groups", "hidden.weight is in the last group but does not make logits"),
    "LooseParameter": ("layer_groups", "LooseParameter holds scale itself"),
    "WrongPrecision": ("bfloat16", "autocast to bfloat16 raises"),
    "TakenName": ("declaration", "scores is one of its layers"),
    "NotBuilt": ("shapes", "the constructor raises ZeroDivisionError: a constructor's own error"),
    "NoOptimiser": ("learning", "configure_optimizers gives no optimiser"),
    "NeverStepped": ("schedules", "CosineAnnealingLR is never stepped in 2 epochs of 2 batches"),
    "RarelyNeverStepped": ("schedules", "CosineAnnealingLR is never stepped in 2 epochs of 2 batches"),
    "NeverLearns": ("learning", "the loss on 8 clips goes from"),
}


def subject(name: str) -> Subject:
    return Subject.of(f"tests.generators.broken_models.{name}", {}, steps=12)


@pytest.mark.parametrize("name", ["Sound", "BeginsAtZero", "OwnOptimiser", "OptimisersAndSchedules", "RarelyStepped"])
def test_a_sound_architecture_passes_every_check(name: str) -> None:
    sound = subject(name)
    assert {name: run_check(check, sound) for name, check in CHECKS.items()} == {name: [] for name in CHECKS}


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_is_found_and_says_what_to_change(name: str) -> None:
    check, problem = BROKEN[name]
    found = run_check(CHECKS[check], subject(name))
    assert [one for one in found if problem in one.problem], found
    assert all(one.change for one in found)


def test_a_declaration_that_is_no_tuple_stops_no_other_check() -> None:
    found = {name: run_check(check, subject("OneNumber")) for name, check in CHECKS.items()}
    assert "frame_offsets is 8" in found["declaration"][0].problem
    assert all(one.change for findings in found.values() for one in findings)


def test_every_check_can_fail() -> None:
    assert {check for check, _ in BROKEN.values()} == set(CHECKS)
    written = {
        name for name, cls in inspect.getmembers(broken_models, inspect.isclass) if cls.__module__.endswith("ls")
    }
    assert {*BROKEN, "Sound", "Demanding", "NoClassifier"} <= written


NARROW = {"width": 0.03}
BUILT_IN = [("SingleFrame", resolution) for resolution in get_args(Resolution)]
BUILT_IN += [(name, "full") for name in ("EarlyFusion", "LateFusion", "SlowFusion")]


@pytest.mark.parametrize(("name", "resolution"), BUILT_IN)
def test_a_built_in_architecture_passes_every_check(name: str, resolution: str) -> None:
    tested = Subject.of(name, {**NARROW, "resolution": resolution})
    assert {check: run_check(function, tested) for check, function in CHECKS.items()} == {name: [] for name in CHECKS}


ZOO = sorted(path.stem for path in (ROOT / "conf/zoo").glob("*.yaml"))
LIGHT = {"gru", "lstm"}
HEAVY = [pytest.param(name, marks=[pytest.mark.heavy, pytest.mark.timeout(3600)]) for name in ZOO if name not in LIGHT]


@pytest.mark.parametrize("name", [*sorted(LIGHT), *HEAVY])
def test_an_architecture_of_the_zoo_passes_every_check(name: str) -> None:
    model = yaml.safe_load((ROOT / f"conf/zoo/{name}.yaml").read_text("utf-8"))["model"]
    if model["class_path"] == "PytorchvideoVideo":
        pytest.importorskip("pytorchvideo", reason="needs the extra zoo")
    options = {**model["init_args"], **(NARROW if "width" in model["init_args"] else {})}
    tested = Subject.of(model["class_path"], options)
    assert {check: run_check(function, tested) for check, function in CHECKS.items()} == {name: [] for name in CHECKS}


@pytest.mark.parametrize("network", [SingleFrame, EarlyFusion, LateFusion, SlowFusion])
@pytest.mark.parametrize("resolution", ["full", "multires"])
def test_layer_groups_of_the_built_in_architectures(network: type[SingleFrame], resolution: Resolution) -> None:
    with torch.device("meta"):
        built = network(487, resolution=resolution)
    names = {id(parameter): name for name, parameter in built.named_parameters()}
    groups = [[names[id(parameter)] for parameter in group] for group in built.layer_groups]
    streams = ["full"] if resolution == "full" else ["context", "fovea"]
    convolutions = [f"streams.trunks.{s}.conv{n}.{kind}" for s in streams for n in range(1, 6) for kind in _KINDS]
    # Behind dropout come the layers 1, 4 and 6: fc6, fc7 and the classifier.
    assert groups == [convolutions, *([f"classifier.{n}.{kind}" for kind in _KINDS] for n in (1, 4, 6))]
    assert [tuple(built.layer_groups[-1][n].shape) for n in (0, 1)] == [(487, 4096), (487,)]


_KINDS = ("weight", "bias")


def test_the_suite_has_a_test_for_each_check() -> None:
    written = {name.removeprefix("test_") for name in vars(ConformanceSuite) if name.startswith("test_")}
    assert written == set(CHECKS)


class TestSound(ConformanceSuite):
    """The suite as the author of a package uses it."""

    class_path = "tests.generators.broken_models.Sound"


@pytest.mark.parametrize("name", ["IdleFrame", "GroupLacks"])
def test_the_suite_fails_with_what_to_change(name: str) -> None:
    suite = type("Suite", (ConformanceSuite,), {"class_path": f"tests.generators.broken_models.{name}"})()
    check, problem = BROKEN[name]
    with pytest.raises(AssertionError) as caught:
        getattr(suite, f"test_{check}")()
    assert problem in str(caught.value)
