import time
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.utilities.enums import GradClipAlgorithmType
from torch import nn

from benchmark.errors import UserError
from benchmark.runs.screen import RunProgressBar
from benchmark.runs.trainer import (
    RememberingMixedPrecision,
    Trainer,
    WholeCheckpoints,
    fastest_precision,
)


def stepped(fused: bool) -> tuple[torch.optim.SGD, nn.Linear]:
    """A fused or a plain optimiser whose parameters have gradients of norm 5."""
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.grad = torch.tensor([[3.0, 4.0]])
    return torch.optim.SGD(layer.parameters(), lr=1.0, fused=fused), layer


def test_gradients_of_a_fused_optimiser_are_clipped() -> None:
    optimiser, layer = stepped(fused=True)
    RememberingMixedPrecision("bf16-mixed", "cpu").clip_gradients(optimiser, 1.0, GradClipAlgorithmType.NORM)
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[0.6, 0.8]]))
    RememberingMixedPrecision("bf16-mixed", "cpu").clip_gradients(optimiser, 0.7, GradClipAlgorithmType.VALUE)
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[0.6, 0.7]]))


def test_scaled_gradients_of_a_fused_optimiser_are_refused_by_name() -> None:
    scaled = RememberingMixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    optimiser, _ = stepped(fused=True)
    with pytest.raises(UserError, match=r"trainer.gradient_clip_val is 1.0 and trainer.precision 16-mixed.*bf16-mixed"):
        scaled.clip_gradients(optimiser, 1.0)
    optimiser, layer = stepped(fused=False)
    scaled.clip_gradients(optimiser, 1.0)
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[0.6, 0.8]]))


def test_a_gpu_that_does_not_train_does_not_choose_the_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False}, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert fastest_precision() == "bf16-mixed"
    assert fastest_precision("cpu") == "32-true"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert fastest_precision() == "32-true"
    assert Trainer(accelerator="cpu", logger=False, enable_checkpointing=False).precision == "bf16-mixed"


@pytest.mark.parametrize(
    ("cpuinfo", "precision"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 avx512_vnni\n", "bf16-mixed"),
        ("flags\t\t: fpu amx_bf16 amx_tile\n", "bf16-mixed"),
        ("Features\t: fp asimd i8mm bf16 dgh\n", "bf16-mixed"),
        ("flags\t\t: fpu avx2 avx512f\n", "32-true"),
        (None, "32-true"),  # not Linux
    ],
)
def test_where_torch_does_not_know_the_processor_linux_is_asked(
    cpuinfo: str | None, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr("benchmark.runs.trainer._CPUINFO", tmp_path / "cpuinfo")
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo, "utf-8")
    assert fastest_precision("cpu") == precision


def test_float32_is_float32_on_a_gpu_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    quiet: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False}
    Trainer(precision="bf16-mixed", **quiet)
    assert torch.backends.cudnn.allow_tf32
    Trainer(precision="32-true", **quiet)
    assert not torch.backends.cudnn.allow_tf32


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, last = WholeCheckpoints(), tmp_path / "checkpoints/last.ckpt"
    writer.save_checkpoint({"step": 1}, last)
    (tmp_path / "checkpoints/last.ckpt.new").write_bytes(b"of a process that was killed, and longer than the next" * 99)
    writer.save_checkpoint({"step": 2}, str(last))
    assert torch.load(last, weights_only=True) == {"step": 2}
    assert [path.name for path in last.parent.iterdir()] == ["last.ckpt"]

    def half(checkpoint: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(UserError, match="no space"):
        writer.save_checkpoint({"step": 3}, last)
    assert torch.load(last, weights_only=True) == {"step": 2}


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_the_trainer_writes_whole_checkpoints_in_any_precision(precision: Any) -> None:
    made = Trainer(accelerator="cpu", logger=False, precision=precision)
    assert type(made.strategy.checkpoint_io) is WholeCheckpoints
    assert isinstance(made.precision_plugin, RememberingMixedPrecision) == (precision == "bf16-mixed")

    class Own(TorchCheckpointIO):
        pass

    assert type(Trainer(accelerator="cpu", logger=False, plugins=[Own()]).strategy.checkpoint_io) is Own


def test_what_lightning_does_not_know_is_named() -> None:
    with pytest.raises(UserError, match=r"accelerator='foo'.*Change that option of --trainer"):
        Trainer(accelerator="foo")


def test_a_gpu_searches_for_its_convolutions_unless_runs_are_to_repeat() -> None:
    def searches(**options: Any) -> bool:
        torch.backends.cudnn.benchmark = False
        Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, **options)
        return torch.backends.cudnn.benchmark

    try:
        assert searches()
        assert not searches(benchmark=False)
        assert not searches(deterministic=True)
    finally:
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(False)


def test_the_progress_bar_looks_twice_a_second_and_at_each_end(monkeypatch: pytest.MonkeyPatch) -> None:
    bar_of_user = RichProgressBar(refresh_rate=3, leave=True)
    made = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=True, callbacks=[bar_of_user]
    )
    bar = cast(Any, made.progress_bar_callback)
    assert (type(bar), bar.refresh_rate, bar._leave) == (RunProgressBar, 3, True)
    clock, looks = [10.0], iter(range(100))
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(RichProgressBar, "get_metrics", lambda *_: {"train/loss_step": next(looks), "v_num": 7})
    shown = []
    for seconds in (10.0, 10.4, 10.6, 10.7):
        clock[0] = seconds
        shown.append(bar.get_metrics(made, None)["loss"])
    assert shown == ["0.000", "0.000", "1.000", "1.000"]
    monkeypatch.setattr(RichProgressBar, "on_validation_end", lambda bar, *_: shown.append(bar.get_metrics(made, None)))
    bar.on_validation_end(made, None)
    assert shown[-1] == {"loss": "2.000"}
    assert bar._get_train_description(0) == "epoch 1"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_log_file_gets_no_progress_bar(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal, raising=False)
    made = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    assert (made.progress_bar_callback is not None) == is_terminal
    assert Trainer(accelerator="cpu", logger=False, enable_progress_bar=True).progress_bar_callback is not None


def test_a_choice_of_compiling_is_one_of_three() -> None:
    with pytest.raises(UserError, match=r"trainer.compile is 'maybe'; allowed are auto, never, always"):
        Trainer(accelerator="cpu", compile=cast(Any, "maybe"))


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before_and_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"epoch": 1}, path)

    def full(_: object, file: Any) -> None:
        file.write(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 2020544 vs 2020432")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"last\.ckpt cannot be written, with \d+ MB free there: .* make room"):
        WholeCheckpoints().save_checkpoint({"epoch": 2}, path)
    assert [left.name for left in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(path, weights_only=True) == {"epoch": 1}
