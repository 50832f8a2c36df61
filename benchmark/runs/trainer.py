"""Lightning's Trainer with this suite's defaults: precision chosen for the machine, our own samplers."""

import os
import shutil
from pathlib import Path
from typing import Any, Literal, cast, get_args

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.utilities.enums import GradClipAlgorithmType
from torch.optim import Optimizer

from benchmark.errors import UserError
from benchmark.files import whole
from benchmark.runs.ranks import LocalSignals
from benchmark.runs.screen import RunProgressBar, is_terminal

CompileName = Literal["auto", "never", "always"]

_CPUINFO = Path("/proc/cpuinfo")

PrecisionName = Literal["auto", "32-true", "16-true", "bf16-true", "16-mixed", "bf16-mixed", "64-true"]


def fastest_precision(accelerator: object = "auto") -> Literal["bf16-mixed", "32-true"]:
    """`bf16-mixed` where the GPU, or without one the processor, multiplies bfloat16 natively; else `32-true`.

    Args:
        accelerator: What the Trainer is told; with `cpu` a GPU that is there does not count.
    """
    if torch.cuda.is_available() and accelerator != "cpu":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    native = _instructions() & {"avx512_bf16", "amx_bf16", "bf16"}  # the last is Arm's name
    return "bf16-mixed" if native else "32-true"


def _instructions() -> set[str]:
    """Names of the processor's extensions, as torch gives them, or Linux where torch (2.9 and 2.10) does not."""
    if hasattr(torch.cpu, "get_capabilities"):
        return {name for name, has in torch.cpu.get_capabilities().items() if has}
    return set(_CPUINFO.read_text("utf-8").split()) if _CPUINFO.exists() else set()


class RememberingMixedPrecision(MixedPrecision):
    """Mixed precision that remembers the weights' copies where no gradients are kept.

    Lightning casts a weight at each use. Without gradients a copy is good until the outermost autocast
    context is left: for all views of a batch, and for all batches within `CastOnce`.
    """

    def autocast_context_manager(self) -> torch.autocast:
        """Autocast in this precision."""
        dtype = torch.bfloat16 if self.precision == "bf16-mixed" else torch.half
        return torch.autocast(self.device, dtype=dtype, cache_enabled=not torch.is_grad_enabled())

    def clip_gradients(
        self,
        optimizer: Optimizer,
        clip_val: int | float = 0.0,
        gradient_clip_algorithm: GradClipAlgorithmType = GradClipAlgorithmType.NORM,
    ) -> None:
        """Clip gradients, also those of a fused optimiser, which only where losses are scaled unscales them itself.

        Raises:
            UserError: If gradients of scaled losses are to be clipped before a fused optimiser unscales them.
        """
        if self.scaler is None:
            Precision.clip_gradients(self, optimizer, clip_val, gradient_clip_algorithm)
            return
        try:
            super().clip_gradients(optimizer, clip_val, gradient_clip_algorithm)
        except RuntimeError as error:
            raise UserError(
                f"trainer.gradient_clip_val is {clip_val} and trainer.precision {self.precision}, whose gradients the "
                "fused optimiser unscales too late to clip them; use bf16-mixed or 32-true, or clip nothing"
            ) from error


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, wherever the machine keeps temporary files.

    Lightning writes it into the folder for temporary files, from which another file system can only copy it: a process
    that is killed meanwhile leaves half of it, and the one before is gone.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write beside the file, then take its place; what an earlier process left unfinished is written over."""
        if storage_options is not None or "://" in str(path):  # not a file of this machine
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        try:
            with whole(Path(path)) as unfinished, unfinished.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # the second is what torch makes of a full disk
            free = shutil.disk_usage(Path(path).parent).free / 1e6
            raise UserError(
                f"the checkpoint {path} cannot be written, with {free:.0f} MB free there: {error}; make room and go on "
                "with --ckpt_path last, or name another --run_dir"
            ) from error


def _require_device(accelerator: object) -> None:
    """Refuse a GPU where there is none.

    Raises:
        UserError: With what was asked for, and why it cannot be had.
    """
    held = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not isinstance(accelerator, str) or {**held, "gpu": any(held.values())}.get(accelerator, True):
        return
    is_without = torch.version.cuda is None and torch.version.hip is None
    reason = "this PyTorch was built without support for GPUs" if is_without else "PyTorch sees no GPU on this machine"
    raise UserError(f"trainer.accelerator is {accelerator}, and {reason}; leave the option out, or give cpu")


class Trainer(L.Trainer):
    """Runs fit, validate, test and predict.

    Args:
        compile: Whether PyTorch compiles the network for batches of the usual sizes, which takes about a minute and
            makes it faster on a GPU: `auto` does so there in runs of at least 10,000 batches, where it compiles at all.
        benchmark: Whether a GPU tries its ways to compute a convolution and takes the fastest; None is yes unless
            `deterministic` is set.
        precision: `auto` picks bf16-mixed where the machine has it, and 32-true elsewhere. 32-true is float32 on every
            device, so that scores of one checkpoint agree.
        use_distributed_sampler: Off, since our samplers share the videos out themselves, without padding.
        num_sanity_val_steps: Batches of validation before training; 0, since a fit validates soon enough.
        inference_mode: Off, since autocast remembers no copies of weights in it; evaluation keeps no gradients anyway.
        enable_progress_bar: None is yes in a terminal, where somebody looks at it.
        enable_model_summary: Off, since a line says how large the network is.
        kwargs: Everything else is Lightning's.

    Raises:
        UserError: If Lightning does not know an option's value, as the accelerator or the strategy.
    """

    def __init__(
        self,
        *,
        precision: PrecisionName = "auto",
        compile: CompileName = "auto",
        benchmark: bool | None = None,
        use_distributed_sampler: Literal[False] = False,
        num_sanity_val_steps: int = 0,
        inference_mode: bool = False,
        enable_progress_bar: bool | None = None,
        enable_model_summary: bool = False,
        **kwargs: Any,
    ) -> None:
        if compile not in get_args(CompileName):
            raise UserError(f"trainer.compile is {compile!r}; allowed are {', '.join(get_args(CompileName))}")
        self.compile_choice = compile
        _require_device(kwargs.get("accelerator", "auto"))
        try:
            super().__init__(
                benchmark=not kwargs.get("deterministic") if benchmark is None else benchmark,
                precision=fastest_precision(kwargs.get("accelerator", "auto")) if precision == "auto" else precision,
                use_distributed_sampler=use_distributed_sampler,
                num_sanity_val_steps=num_sanity_val_steps,
                inference_mode=inference_mode,
                enable_progress_bar=is_terminal() if enable_progress_bar is None else enable_progress_bar,
                enable_model_summary=enable_model_summary,
                **kwargs,
            )
        except (
            ValueError,
            TypeError,
            MisconfigurationException,
        ) as error:  # as the accelerator, the strategy or the devices
            raise UserError(
                f"the trainer cannot be made: {' '.join(str(error).split())} Change that option of --trainer"
            ) from error
        for name, value in (
            ("check_val_every_n_epoch", self.check_val_every_n_epoch),
            ("accumulate_grad_batches", self.accumulate_grad_batches),
        ):
            if value is not None and value < 1:
                raise UserError(f"trainer.{name} is {value}; it must be 1 or more")
        self._signal_connector = LocalSignals(self)
        bar = self.progress_bar_callback
        if type(bar) is RichProgressBar:
            bar.__class__ = RunProgressBar  # it keeps the options that it was made with
        if self.precision == "32-true":  # a GPU would round the factors of its convolutions to TF32's ten bits
            torch.backends.cudnn.allow_tf32 = False
        plugin = self.precision_plugin
        if type(plugin) is MixedPrecision:
            name = cast(Literal["16-mixed", "bf16-mixed"], plugin.precision)
            self.strategy.precision_plugin = RememberingMixedPrecision(name, plugin.device, plugin.scaler)
        if (
            type(self.strategy.checkpoint_io) is TorchCheckpointIO
        ):  # neither a plugin of the user's nor of the strategy's
            self.strategy.checkpoint_io = WholeCheckpoints()

    def validate(self, *arguments: Any, verbose: bool = False, **options: Any) -> Any:
        """As Lightning's, without its table of unrounded numbers."""
        return super().validate(*arguments, **options, verbose=verbose)  # type: ignore[misc]

    def test(self, *arguments: Any, verbose: bool = False, **options: Any) -> Any:
        """As Lightning's, without its table of unrounded numbers."""
        return super().test(*arguments, **options, verbose=verbose)  # type: ignore[misc]
