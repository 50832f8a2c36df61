import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.metrics import Score, descriptors
from benchmark.models import EarlyFusion, LateFusion, Recipe, SingleFrame, SlowFusion, VideoClassifier
from benchmark.protocol import TEST_VIEWS
from tests.models.plain import clip_batch, random_clips
from tests.models.training import Batches, K, Watch, build, fitted, same_weights, trainer, training_batch

STRATEGIES: list[Callable[..., VideoClassifier]] = [SingleFrame, EarlyFusion, LateFusion, SlowFusion]


def silent(network: VideoClassifier, monkeypatch: pytest.MonkeyPatch) -> VideoClassifier:
    """The network outside a Trainer, where nothing can be logged."""
    monkeypatch.setattr(network, "log", lambda *_args, **_options: None)
    return network


def predicted(network: VideoClassifier, frames: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(B, K) class probabilities."""
    with torch.no_grad():
        logits = network(frames).double().numpy()
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray[Any, np.dtype[np.float64]] = powers / powers.sum(axis=1, keepdims=True)
    return shares


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("network", STRATEGIES)
def test_loss_falls_on_eight_clips(network: Callable[..., VideoClassifier], tmp_path: Path) -> None:
    tested = build(network, resolution="fovea", dropout=0.0, recipe=Recipe(learning_rate=0.02, warmup_steps=3))
    watch = Watch()
    trainer(tmp_path, watch, max_epochs=20).fit(tested, datamodule=Batches([training_batch(tested)]))
    assert len(watch.losses) == 20
    assert watch.losses[0] == pytest.approx(math.log(K), abs=0.1)
    assert watch.losses[-1] < 0.5 * watch.losses[0]


@pytest.mark.parametrize("resolution", ["full", "multires"])
@pytest.mark.parametrize("network", STRATEGIES)
def test_batch_without_clips(
    network: Callable[..., VideoClassifier], resolution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = silent(build(network, resolution=resolution), monkeypatch)
    loss = tested.training_step(training_batch(tested, count=0), 0)
    assert float(loss.detach()) == 0.0
    for gradient in torch.autograd.grad(loss, list(tested.parameters())):
        # NaN counts as not zero.
        assert torch.count_nonzero(gradient) == 0
    frames = random_clips(0, len(tested.frame_offsets), 200)
    assert tested.clip_probabilities(clip_batch(frames, torch.zeros(0, K), TEST_VIEWS)).shape == (0, K)


@pytest.mark.filterwarnings("ignore")
def test_a_score_of_the_users_that_is_none_is_refused_first_and_later_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested, watch = build(), Watch()
    data = Batches([training_batch(tested)], [clip_batch(random_clips(2, 1, 200), torch.ones(2, K))])
    wrong = Score("mine", "mine", "mine", lambda known: 2.0)
    late = Score("late", "late", "late", lambda known: 0.5 if len(known) == 2 * K else 2.0)  # made-up videos are 2 K
    for score, steps in ((wrong, 0), (late, 1)):
        with monkeypatch.context() as patch:
            patch.setitem(descriptors._KNOWN, score.name, score)
            with pytest.raises(UserError, match=f"the score {score.name} is 2.0; a score is a number from 0 to 1"):
                trainer(tmp_path, watch, max_epochs=1).fit(tested, datamodule=data)
        assert len(watch.losses) == steps


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("network", STRATEGIES)
def test_fit_goes_on_after_a_batch_without_clips(network: Callable[..., VideoClassifier], tmp_path: Path) -> None:
    tested = build(network)
    watch = Watch()
    batches = [training_batch(tested, count) for count in (2, 0, 2)]
    trainer(tmp_path, watch, max_epochs=1).fit(tested, datamodule=Batches(batches))
    assert watch.losses[1] == 0.0
    assert all(math.isfinite(loss) for loss in watch.losses)
    assert all(parameter.isfinite().all() for parameter in tested.parameters())


def test_several_labels_share_the_target_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    tested = silent(build(dropout=0.0), monkeypatch)
    nn.init.normal_(list(tested.parameters())[-1])
    labels = torch.tensor([[1.0, 0, 0, 0, 0], [0, 1, 0, 1, 0], [1, 1, 1, 0, 1], [0, 0, 0, 0, 0]])
    frames = random_clips(4, 1, 170)
    loss = tested.training_step(clip_batch(frames, labels), 0)
    expected = 0.0
    for probabilities, truth in zip(predicted(tested, frames), labels.tolist(), strict=True):
        true = [k for k in range(K) if truth[k]]
        expected += sum(-math.log(probabilities[k]) / len(true) for k in true)
    assert float(loss.detach()) == pytest.approx(expected / 4, rel=1e-5)


@pytest.mark.parametrize("network", [SingleFrame, LateFusion])
@pytest.mark.parametrize("resolution", ["full", "multires"])
def test_clip_probabilities_are_means_over_the_views(network: Callable[..., VideoClassifier], resolution: str) -> None:
    tested = build(network, resolution=resolution).eval()
    nn.init.normal_(list(tested.parameters())[-2], std=0.5)
    side = tested.input_side
    frames = random_clips(3, len(tested.frame_offsets), 200)
    pixels = frames.numpy()
    corner = {"upper_left": slice(0, side), "lower_right": slice(200 - side, 200)}
    total = np.zeros((3, K))
    for place in ("upper_left", "lower_right"):
        crop = pixels[:, :, corner[place], corner[place]]
        for view in (crop, crop[:, :, :, ::-1]):
            total += predicted(tested, torch.from_numpy(view.copy()))
    with torch.no_grad():
        probabilities = tested.clip_probabilities(clip_batch(frames, torch.zeros(3, K), TEST_VIEWS))
    assert probabilities.dtype == torch.float32
    np.testing.assert_allclose(probabilities.numpy(), total / 4, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(1).numpy(), 1.0, rtol=1e-5)
    assert np.abs(total / 4 - predicted(tested, frames[:, :, :side, :side])).max() > 1e-4


def test_probabilities_are_float32_under_autocast() -> None:
    tested = build().eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        batch = clip_batch(random_clips(2, 1, 200), torch.zeros(2, K), TEST_VIEWS)
        assert tested.clip_probabilities(batch).dtype == torch.float32


@pytest.mark.filterwarnings("ignore")
def test_same_seed_trains_the_same_network(tmp_path: Path) -> None:
    first, _ = fitted(tmp_path, epochs=2)
    second, _ = fitted(tmp_path, epochs=2)
    other, _ = fitted(tmp_path, epochs=2, seed=1)
    assert same_weights(first, second)
    assert not same_weights(first, other)


def dropout_masks(folder: Path, *, seed: int, steps: int, drawn_before: int) -> list[Tensor]:
    """The mask of the first dropout layer at each step, (8, F) of 0 and 2."""
    tested = build()
    masks: list[Tensor] = []
    layer = next(module for module in tested.modules() if isinstance(module, nn.Dropout))
    layer.register_forward_pre_hook(lambda _module, inputs: (torch.ones_like(inputs[0]),))
    layer.register_forward_hook(lambda _module, _inputs, output: masks.append(output.detach().clone()))
    torch.manual_seed(drawn_before)
    data = Batches([training_batch(tested)] * steps, seed=seed)
    trainer(folder, max_epochs=1).fit(tested, datamodule=data)
    return masks


@pytest.mark.filterwarnings("ignore")
def test_dropout_is_a_function_of_seed_and_step(tmp_path: Path) -> None:
    first = dropout_masks(tmp_path, seed=0, steps=3, drawn_before=1)
    again = dropout_masks(tmp_path, seed=0, steps=3, drawn_before=2)
    other = dropout_masks(tmp_path, seed=1, steps=3, drawn_before=1)
    assert all(set(mask.flatten().tolist()) == {0.0, 2.0} for mask in first)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[1], first[2])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [2**32 - 1])
def test_largest_seed_is_taken(tmp_path: Path, seed: int) -> None:
    assert len(dropout_masks(tmp_path, seed=seed, steps=1, drawn_before=0)) == 1


@pytest.mark.filterwarnings("ignore")
def test_validation_scores_centre_views(tmp_path: Path) -> None:
    tested = build()
    nn.init.normal_(list(tested.parameters())[-2], std=0.5)
    frames = random_clips(20, 1, 200)
    labels = torch.eye(K)[torch.arange(20) % K]
    runner = trainer(tmp_path)
    runner.validate(tested, datamodule=Batches([], [clip_batch(frames, labels)]), verbose=False)
    guesses = predicted(tested.eval(), frames[:, :, 15:185, 15:185]).argmax(1)
    assert float(runner.callback_metrics["val/clip_hit1"]) == pytest.approx(np.mean(guesses == np.arange(20) % K))
