"""Regimes on small networks, through Lightning's Trainer; and fits of the command line that are refused."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from benchmark.cli import main
from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.models import SingleFrame
from benchmark.models.recipe import Recipe
from benchmark.models.video_classifier import VideoClassifier
from benchmark.results.record import Record
from benchmark.transfer.carrying import (
    Transfer,
    TransferRegime,
    frozen_modules,
    place_dropout,
    require_carried,
    transfer_facts,
)
from benchmark.transfer.regimes import REGIMES, Regime
from tests.generators.small_test import options
from tests.models.training import Batches, K, build, trainer, training_batch

MOTION = ["--data.classes", "[Expand, Contract, Rise, Sink]"]


class Plugin(VideoClassifier):
    """An architecture of somebody else: batch statistics, dropout of two kinds, a 1x1 convolution at the top."""

    frame_offsets = (0, 15)
    input_side = 20

    def __init__(self, num_classes: int, *, recipe: Recipe = Recipe()) -> None:
        super().__init__(num_classes, recipe)
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 5, 5), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.5))
        self.first = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.5))
        self.top = nn.Conv1d(8, num_classes, 1)

    def forward(self, clips: Tensor) -> Tensor:
        pixels = clips.float().mean(1).permute(0, 3, 1, 2) / 255 - 0.5
        logits: Tensor = self.top(self.second(self.first(self.stem(pixels)))[:, :, None])[:, :, 0]
        return logits


def plugin(classes: int = K) -> Plugin:
    torch.manual_seed(1)
    return Plugin(classes, recipe=Recipe(warmup_steps=0))


def single(classes: int = K) -> VideoClassifier:
    return build(SingleFrame, num_classes=classes, recipe=Recipe(warmup_steps=0))


def checkpoint_of(network: VideoClassifier) -> dict[str, Any]:
    return {"state_dict": network.state_dict(), "architecture": network.shape}


class Modes(L.Callback):
    """Modes of the modules in each step, against somebody who calls `train()`."""

    def __init__(self) -> None:
        self.in_training: list[set[str]] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.train()

    def on_before_zero_grad(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        self.in_training.append({name for name, module in pl_module.named_modules() if module.training})


@pytest.mark.parametrize("make", [single, plugin], ids=["SingleFrame", "plugin"])
@pytest.mark.parametrize("regime", list(REGIMES))
def test_what_is_frozen_stays_as_it_is_in_every_sense(make: Any, regime: Regime, tmp_path: Path) -> None:
    source, network = make(3), make()
    for value in source.state_dict().values():
        value.add_(1)  # other weights than fresh ones
    groups = [list(group) for group in network.layer_groups]
    count = {"scratch": len(groups), "all": len(groups), "top3": 3, "top": 1}[regime]
    trained = {id(p) for group in groups[len(groups) - count :] for p in group}
    names = {name for name, p in network.named_parameters() if id(p) in trained}
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    top = {name for name, p in network.named_parameters() if any(p is last for last in groups[-1])}
    begun: dict[str, Tensor] = {}

    class Begin(L.Callback):
        def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            begun.update({name: value.clone() for name, value in pl_module.state_dict().items()})

    transfer = Transfer(regime, None if regime == "scratch" else Path("x.ckpt"), 0.5, 0)
    callback = TransferRegime(transfer, None if regime == "scratch" else checkpoint_of(source))
    modes = Modes()
    runner = trainer(tmp_path, callback, Begin(), modes, max_epochs=2)
    runner.fit(network, datamodule=Batches([training_batch(network, 8, seed=n) for n in range(2)]))

    for name, value in begun.items():
        wanted = fresh[name] if regime == "scratch" or name in top else source.state_dict()[name]
        assert torch.equal(value, wanted), name
    ended = network.state_dict()
    frozen = [name for name, _ in network.named_parameters() if name not in names]
    assert all(torch.equal(ended[name], begun[name]) for name in frozen)
    assert all(p.grad is None for name, p in network.named_parameters() if name in frozen)
    assert all(not torch.equal(ended[name], begun[name]) for name in names if begun[name].numel() > 1)
    held = {id(p) for group in runner.optimizers[0].param_groups for p in group["params"]}
    assert held == trained == {id(p) for p in runner.optimizers[0].state}
    for training in modes.in_training:
        for name, module in network.named_modules():
            own = [f"{name}.{end}" for end, _ in module.named_parameters()]
            if name and own:
                assert (name in training) == any(parameter in names for parameter in own), name
    statistics = [name for name in ended if "running" in name or "num_batches" in name]
    for name in statistics:
        is_trained = f"{name.rpartition('.')[0]}.weight" in names
        assert torch.equal(ended[name], begun[name]) != is_trained


def test_dropout_stands_in_front_of_trained_fully_connected_layers_alone() -> None:
    network = plugin()
    for parameter in network.stem.parameters():
        parameter.requires_grad_(False)
    seen: dict[str, Tensor] = {}
    assert place_dropout(network, list(network.top.parameters()), 0.9) == 3
    for name in ("first.1", "second.0", "top"):
        network.get_submodule(name).register_forward_pre_hook(
            lambda module, inputs, name=name: seen.update({name: inputs[0].detach()})
        )
    assert list(network.state_dict()) == list(plugin().state_dict())
    clips = training_batch(network, 64).frames
    with torch.no_grad():
        assert torch.equal(network.eval()(clips), plugin().eval()(clips))
        network.train()(clips)
        shares = {name: float((value != 0).float().mean()) for name, value in seen.items()}
        # A tenth is kept of the ReLUs' outputs, about half of which are 0 already.
        assert all(0.01 < share < 0.1 for share in shares.values()), shares


def test_modules_without_parameters_are_frozen_only_beside_frozen_ones() -> None:
    network = plugin()
    assert list(frozen_modules(network)) == []
    for parameter in network.stem.parameters():
        parameter.requires_grad_(False)
    found = {id(module) for module in frozen_modules(network)}  # a metric is equal to anything
    assert id(network.stem) in found
    assert id(network.second[2]) not in found


def test_a_checkpoint_of_another_architecture_is_refused_with_what_differs(tmp_path: Path) -> None:
    other = build(SingleFrame, num_classes=3, width=0.05, resolution="context")
    for held, message in (
        (checkpoint_of(other), "resolution is context in the checkpoint and full in the .*; width is 0.05 in the"),
        (checkpoint_of(plugin()), "class is Plugin in the checkpoint and SingleFrame"),
        ({"state_dict": {}}, "does not say of which architecture"),
        ({**checkpoint_of(single()), "state_dict": {}}, "streams.*is None in the checkpoint"),
    ):
        network = single()
        runner = trainer(tmp_path, TransferRegime(Transfer("top", Path("x.ckpt")), held), max_epochs=1)
        with pytest.raises(UserError, match=message):
            runner.fit(network, datamodule=Batches([training_batch(network)]))


class Shallow(Plugin):
    """Three layer groups."""

    @property
    def layer_groups(self) -> list[list[nn.Parameter]]:
        stem, first, second, top = super().layer_groups
        return [[*stem, *first], second, top]


def test_top3_of_three_layer_groups_is_refused_as_all(tmp_path: Path) -> None:
    network = Shallow(K)
    with pytest.raises(UserError, match=r"Shallow has 3 layer groups.*take the regime all or top"):
        require_carried(network, network.layer_groups, "top3")
    for regime in ("top", "all", "scratch"):
        require_carried(network, network.layer_groups, regime)
    runner = trainer(tmp_path, TransferRegime(Transfer("top3", Path("x.ckpt")), checkpoint_of(network)), max_epochs=1)
    with pytest.raises(UserError, match="3 layer groups"):
        runner.fit(network, datamodule=Batches([training_batch(network)]))


@pytest.mark.parametrize("regime", ["scratch", "top"])
def test_weights_of_a_file_are_refused_in_every_regime(regime: Regime) -> None:
    network = plugin()
    network.weights = Path("published.pth")  # type: ignore[assignment]  # as the adapters of libraries have it
    with pytest.raises(UserError, match=r"model.weights is published.pth.*as --pretrained of `transfer`"):
        require_carried(network, network.layer_groups, regime)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"regime": "top"}, "give the weights to begin with as transfer.pretrained"),
        ({"regime": "scratch", "pretrained": Path("x")}, "fresh weights; leave out transfer.pretrained"),
        ({"pretrained": Path("x")}, "without transfer.regime"),
        ({"regime": "upper"}, "'upper'; allowed are scratch, top, top3, all"),
        ({"keep_probability": 0.0}, "keep_probability is 0.0"),
        ({"keep_probability": float("nan")}, "keep_probability is nan"),
        ({"feature_draws": 3}, "feature_draws is 3; it must be 4 or more"),
        ({"cache_gb": 0.0}, "cache_gb is 0.0"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Transfer(**values)


def test_facts_of_strangers_are_not_believed() -> None:
    facts = TransferRegime(Transfer("scratch"), None).facts
    assert transfer_facts({"transfer": facts}) == facts
    for wrong in ({}, {"transfer": 1}, {"transfer": {**facts, "regime": "<b>"}}, {"transfer": {**facts, "more": 1}}):
        assert transfer_facts(wrong) is None


def fit(small_set: Path, run: Path, regime: str, source: str | None, *more: str) -> list[str]:
    words = ["--transfer.regime", regime, *(["--transfer.pretrained", source] if source else []), *more]
    return ["fit", *options(small_set, run, *MOTION, *words)]


def test_a_transferred_test_says_so_and_disjoint_classes_are_clean(
    small_set: Path, pretrained: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(fit(small_set, run, "top3", pretrained, "--data.fold", "2")) == 0
    held = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert len(held["provenance"]["seen"]) > len(torch.load(pretrained, weights_only=True)["provenance"]["seen"])
    config, best = str(run / "config.yaml"), str(run / "checkpoints/best.ckpt")
    assert main(["test", "--config", config, "--run_dir", str(tmp_path / "test"), "--ckpt_path", best]) == 0
    record = Record.read(tmp_path / "test")
    begun = file_hash(Path(pretrained))[:8]
    assert record.name == f"SingleFrame, multires, width 0.05, top 3 layers retrained from {begun}"
    assert record.model.options["transfer_regime"] == "top3"
    assert record.config["transfer"]["keep_probability"] == 0.5
    assert record.checkpoint.provenance == "clean"
    capsys.readouterr()
    # Ordinary training does not go on from it, nor another regime.
    for more in ([], ["--transfer.regime", "top", "--transfer.pretrained", pretrained]):
        assert main(["fit", *options(small_set, run, *MOTION, *more), "--ckpt_path", "last"]) == 2
        assert "transfer.regime was top3" in capsys.readouterr().err


def test_what_a_test_would_refuse_is_refused_before_training(
    small_set: Path, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The weights were trained on fold 1 of all classes, and so on test videos of fold 2."""
    run = tmp_path / "run"
    assert main(fit(small_set, run, "top", checkpoint, "--data.fold", "2")) == 2
    message = capsys.readouterr().err
    assert "was trained or validated on 8 of the 8 test videos" in message
    assert "leave the fold out of grid.folds" in message
    assert not (run / "checkpoints").exists()
    assert main(fit(small_set, run, "top", checkpoint, "--data.fold", "1")) == 0
    assert main(fit(small_set, tmp_path / "a", "top", str(tmp_path / "no.ckpt"))) == 2
    assert "--transfer.pretrained" in capsys.readouterr().err
