"""Facts about a test that are no number of it: its model, code, hardware and libraries."""

import contextlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

import benchmark
from benchmark.cost import gflop_per_clip, parameter_count
from benchmark.results.record import Code, Hardware, Model

_LIBRARIES = ("torch", "torchvision", "lightning", "torchmetrics", "av", "opencv-python-headless", "numpy", "pyarrow")


def model_facts(network: Any, config: dict[str, Any]) -> Model:
    """Class, options, parameters and cost of a clip of the model that was tested."""
    options = dict(config.get("model", {}).get("init_args", {}))
    options |= {f"transfer_{name}": value for name, value in (config.get("transfer") or {}).items()}
    plain = {name: v for name, v in options.items() if isinstance(v, str | int | float | bool) or v is None}
    has_clips = not getattr(network, "reads_whole_videos", False)
    return Model(
        class_path=f"{type(network).__module__}.{type(network).__qualname__}",
        options=plain,
        parameters=parameter_count(network),
        gflop_per_clip=gflop_per_clip(network) if has_clips else None,
        frame_offsets=tuple(int(offset) for offset in network.frame_offsets) if has_clips else (),
        input_side=int(network.input_side) if has_clips else None,
    )


def code_facts() -> Code:
    """Version of this package, and commit and state of the working tree that it is run from, if it is."""
    folder = Path(benchmark.__file__).parent
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")  # else it is installed inside another repository
        commit = _git(folder, "rev-parse", "HEAD")
        modified = bool(_git(folder, "status", "--porcelain"))
    except (OSError, subprocess.SubprocessError):
        commit, modified = None, None
    return Code(version=benchmark.__version__, commit=commit, modified=modified)


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=20).stdout.strip()


def hardware_facts(processes: int, device: torch.device) -> Hardware:
    """Processor, cores that this process may use, and the GPU if it is one that computes.

    Args:
        processes: Number of processes that share the work.
        device: That computes.
    """
    name = platform.processor() or platform.machine()
    listed = Path("/proc/cpuinfo")
    if sys.platform == "linux" and listed.exists():  # a container may lack it
        match = re.search(r"model name\s*:\s*(.+)", listed.read_text("utf-8", errors="replace"))
        name = match[1] if match else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return Hardware(processor=_text(name), cores=cores, gpu=None if gpu is None else _text(gpu), processes=processes)


def _text(name: str) -> str:
    return re.sub(r"[^\w .,:;+()=/@%-]", " ", name).strip() or "unknown"


def library_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # it may go by another distribution's name
            versions[name] = importlib.metadata.version(name)
    return versions
