"""A GPU of the mind: tensors that say `cuda`, hold their values on the processor, and refuse to meet others.

Code that feeds a tensor of one device to weights of another fails here as on a GPU, with PyTorch's words, and so does
asking a GPU's tensor for NumPy. Everything else runs for real: gradients, optimisers, `item`, `unique`, Lightning.

What it cannot see: what a GPU's own kernels do (their rounding, refusals, order and memory), streams and asynchronous
copies, page-locked memory, other processes and threads, autocast to low precision, and the few operations that take a
tensor of no dimension from the processor where a GPU's kernel would not. A recurrent layer runs the processor's kernel.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch._dynamo  # before anything is replaced, which it lists when it is first imported
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

GPU = torch.device("cuda", 0)
_aten = torch.ops.aten
_INDEXING = {
    _aten.index.Tensor,
    _aten.index_put.default,
    _aten.index_put_.default,
    _aten._index_put_impl_.default,
    _aten._unsafe_index.Tensor,
}
"""A GPU's tensor may be indexed by numbers that the processor holds."""

_FUSED = {_aten._fused_sgd_.default}


class OnGpu(Tensor):
    """A tensor that says it is on the GPU.

    Args:
        held: Its values on the processor, or only its shape on the meta device.
    """

    held: Tensor

    @staticmethod
    def __new__(cls: type["OnGpu"], held: Tensor) -> "OnGpu":
        made: OnGpu = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device(
                "meta"
            ),  # what C++ believes: autograd has a thread for it, and makes its own tensors there
        )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {}, None)

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return GPU

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    @property
    def is_cpu(self) -> bool:  # type: ignore[override]
        return False

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        if args and isinstance(args[0], Tensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        copy = bool(kwargs.pop("copy", False))
        device, dtype, _, layout = torch._C._nn._parse_to(*args, **kwargs)
        stays = device is None or device.type == "cuda"
        if stays and not copy and layout is None and dtype in {None, self.dtype}:
            return self
        options: dict[str, Any] = {"dtype": dtype or self.dtype, "device": GPU if stays else device}
        return _aten._to_copy(self, **options, memory_format=layout)  # type: ignore[no-any-return]

    def cpu(self, *_: Any) -> Tensor:
        return self.to("cpu")

    def cuda(self, *_: Any, **__: Any) -> Tensor:
        return self

    def numpy(self, *, force: bool = False) -> Any:
        if force:
            return self.held.detach().numpy()
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory "
            "first."
        )

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    def tolist(self) -> Any:
        return self.held.tolist()

    def record_stream(self, *_: Any) -> None:
        pass

    def new_tensor(self, data: Any, dtype: torch.dtype | None = None, **kwargs: Any) -> Tensor:  # type: ignore[override]
        return torch.tensor(data, dtype=dtype or self.dtype, device=kwargs.get("device", self.device))

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OnGpu({tuple(self.shape)}, {self.dtype})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.detach().__reduce_ex__(protocol)  # type: ignore[no-untyped-call]

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnGpu":
        copied = OnGpu(self.held.clone()).requires_grad_(self.requires_grad)
        memo[id(self)] = copied
        return copied  # type: ignore[return-value]


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], inner: str | None) -> Any:
    """Run an operation on what its tensors hold, if all of them are where it can be."""
    flat, spec = tree_flatten((args, kwargs))
    on_gpu = [value for value in flat if isinstance(value, OnGpu)]
    elsewhere = [value for value in flat if isinstance(value, Tensor) and not isinstance(value, OnGpu)]
    wanted = kwargs.get("device")
    is_wanted_here = wanted is not None and torch.device(wanted).type in {"cuda", "meta"}
    if torch._C._meta_in_tls_dispatch_include() or not (on_gpu or is_wanted_here):  # the first: PyTorch infers shapes
        return func(*args, **kwargs)
    apart = [value for value in elsewhere if value.ndim]
    if on_gpu and apart and func is not _aten.copy_.default and not (func in _INDEXING and isinstance(args[0], OnGpu)):
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, cuda:0 and "
            f"{apart[0].device}! (when running {func})"
        )
    is_result_here = is_wanted_here or wanted is None
    if func is _aten.copy_.default:
        is_result_here = isinstance(args[0], OnGpu)
    place = inner or next((value.held.device.type for value in on_gpu), "cpu")
    held = [value.held if isinstance(value, OnGpu) else value for value in flat]
    if place == "meta":
        held = [value.to("meta") if isinstance(value, Tensor) else value for value in held]
    args_held, kwargs_held = tree_unflatten(held, spec)
    if wanted is not None:
        kwargs_held["device"] = torch.device(place if is_result_here else wanted)
        kwargs_held.pop("pin_memory", None)
    # An optimiser's fused step changes values alone, and nothing else of it is known by shape.
    made = None if place == "meta" and func in _FUSED else func(*args_held, **kwargs_held)
    if torch.Tag.inplace_view in func.tags:
        with no_dispatch():
            func(*args, **kwargs)  # the shape of the wrapper changes too
    wrappers = {id(value): original for value, original in zip(held, flat, strict=True) if isinstance(value, Tensor)}

    def wrapped(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if id(value) in wrappers:  # changed in place
            return wrappers[id(value)]
        return OnGpu(value) if is_result_here else value

    return tree_map(wrapped, made)


class _Made(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tensors made on or sent to `cuda` become tensors of this GPU."""

    def __init__(self, inner: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.inner = inner

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {}, self.inner)


class _Asked(TorchFunctionMode):
    """What asks C++ for a device, which knows nothing of this GPU, is asked in two steps."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = {name: _numbered(value) for name, value in (kwargs or {}).items()}
        if func is Tensor.cuda:
            func, args = Tensor.to, (args[0], GPU)
        if func is Tensor.to:  # of the processor
            args = tuple(_numbered(value) for value in args)
        if func is Tensor.to and len(args) > 1 and isinstance(args[1], Tensor):
            args = (args[0], args[1].device, args[1].dtype, *args[2:])
        if func in {torch.tensor, torch.as_tensor} and kwargs.get("device") is not None:
            rest = {name: value for name, value in kwargs.items() if name != "device"}
            return func(*args, **rest).to(kwargs["device"])
        return func(*args, **kwargs)


def _numbered(value: Any) -> Any:
    return GPU if isinstance(value, str | torch.device) and str(value) == "cuda" else value


class _Event:
    """A mark in the queue of a GPU that has always done everything at once."""

    def __init__(self, **_: bool) -> None:
        self.seconds = 0.0

    def record(self) -> None:
        self.seconds = time.perf_counter()

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, last: "_Event") -> float:
        return 1000 * (last.seconds - self.seconds)


@contextlib.contextmanager
def fake_gpu(*, values: bool = True) -> Iterator[None]:
    """Within it `cuda` is a device; `torch.cuda` says that there is one GPU that knows no bfloat16.

    Args:
        values: Whether its tensors have values; without, they have a shape and cost nothing, and cannot leave the GPU.
    """
    nothing: Callable[..., None] = lambda *_, **__: None  # noqa: E731
    facts: dict[str, Any] = {
        "_lazy_init": nothing,
        "is_available": lambda: True,
        "is_bf16_supported": lambda *_, **__: False,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": nothing,
        "synchronize": nothing,
        "empty_cache": nothing,
        "Event": _Event,
        "Stream": lambda *_: SimpleNamespace(),
        "current_stream": lambda *_: SimpleNamespace(wait_stream=nothing),
        "stream": lambda *_: contextlib.nullcontext(),
        "manual_seed": nothing,
        "manual_seed_all": nothing,
        "reset_peak_memory_stats": nothing,
        "max_memory_allocated": lambda *_: 10**9,
        "get_device_name": lambda *_: "GPU of the mind",
        "get_device_capability": lambda *_: (9, 0),
        "get_device_properties": lambda *_: SimpleNamespace(name="GPU of the mind", total_memory=10**10, major=9),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, fact in facts.items():
            patch.setattr(torch.cuda, name, fact)
        patch.setattr(Tensor, "pin_memory", lambda tensor, *_: tensor.clone())
        patch.setattr(torch._C, "_cuda_clearCublasWorkspaces", nothing, raising=False)
        swapped = torch.__future__.get_swap_module_params_on_conversion()
        torch.__future__.set_swap_module_params_on_conversion(True)  # a parameter that moves stays the same object
        try:
            with _Made("cpu" if values else "meta"), _Asked():
                yield
        finally:
            torch.__future__.set_swap_module_params_on_conversion(swapped)
