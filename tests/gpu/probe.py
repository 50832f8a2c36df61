"""Every configuration's network on a device: trained for two steps, scored, counted, compared with the processor.

python -m tests.gpu.probe gpu found.jsonl conf/multires.yaml ... writes a line a configuration. Each runs in a process
of its own, since an error on a GPU may leave a process unable to use it.
"""

import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
import yaml

import benchmark.models
from benchmark.clip import ClipBatch
from benchmark.cost import gflop_per_clip, moving_clips
from benchmark.models import VideoClassifier
from benchmark.models.building import first_optimizer
from benchmark.models.convolutions import work_around_onednn
from benchmark.process import end_with_starter
from benchmark.protocol import View

K, CLIPS = 7, 2
SECONDS = 300
"""Limit of one configuration."""

VIEWS: tuple[View, ...] = ("upper_left", "lower_right_flipped")


def batch(network: VideoClassifier, side: int, views: tuple[View, ...]) -> ClipBatch:
    """Two clips in the shape that a network reads."""
    rows = torch.arange(CLIPS)
    frames = moving_clips(CLIPS, len(network.frame_offsets), side)
    return ClipBatch(frames, torch.eye(K)[rows], rows, rows, rows, torch.zeros(CLIPS, dtype=torch.bool), views)


def probe(path: Path, device: torch.device) -> dict[str, Any]:
    """What the network of a configuration does on a device."""
    model = yaml.safe_load(path.read_text("utf-8"))["model"]
    options = model.get("init_args", {})
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = False  # as the Trainer does for float32
    network: VideoClassifier = getattr(benchmark.models, model["class_path"])(K, **options)
    setattr(network, "log", lambda *_, **__: None)  # noqa: B010  (there is no Trainer)
    scored = batch(network, 200, VIEWS)
    network.eval()
    gflop = gflop_per_clip(network)
    with torch.no_grad():
        expected = network.test_step(scored, 0)
        network.to(device)
        found = network.test_step(scored.to(device), 0)
    difference = float((found.cpu() - expected).abs().max())
    optimizer = first_optimizer(network)
    if optimizer is None:
        raise ValueError(f"{path.stem} has no optimiser")
    if device.type == "cpu":
        work_around_onednn(network)
    network.train()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    losses = []
    for _ in range(2):
        with torch.autocast(device.type, torch.bfloat16):
            loss = network.training_step(batch(network, network.input_side, ("centre",)).to(device), 0)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    changed = [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
    finite = all(bool(parameter.isfinite().all()) for parameter in network.parameters())
    return {
        "difference": difference,
        "losses": losses,
        "changed": sum(changed) / len(changed),
        "finite": finite,
        "gflop": gflop,
        "gflop_there": gflop_per_clip(network),
        "device": str(next(network.parameters()).device),
    }


def main(accelerator: str, found: Path, paths: list[Path]) -> None:
    """Probe one configuration here, or each of several in a process of its own."""
    if len(paths) == 1:
        end_with_starter()  # it shares its standard input with the process above it, which may be killed
        device = torch.device("cpu" if accelerator == "cpu" else "cuda:0")
        try:
            line = {"name": paths[0].stem, **probe(paths[0], device)}
        except Exception:
            line = {"name": paths[0].stem, "error": traceback.format_exc()[-2000:]}
        with found.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return
    for path in paths:
        try:
            subprocess.run(
                [sys.executable, "-m", "tests.gpu.probe", accelerator, str(found), str(path)], timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            print(f"{path.stem} was ended after {SECONDS} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [Path(word) for word in sys.argv[3:]])
