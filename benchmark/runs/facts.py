"""Facts about a test that are no number of it: its model and hardware; `code.py` has those that need no torch."""

import os
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmark.cost import gflop_per_clip, parameter_count
from benchmark.results.record import Hardware, Model


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


def network_title(class_path: str, options: Mapping[str, Any]) -> str:
    """A network for people, such as `SlowFusion, full, width 0.25`."""
    shown = (options.get(key) for key in ("architecture", "cell", "sampling", "resolution"))
    width = f"width {options['width']}" if "width" in options else None
    return ", ".join(str(part) for part in (class_path.split(".")[-1], *shown, width) if part)


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
