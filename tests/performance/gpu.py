"""How fast every network trains and tests on a GPU, ours against plain PyTorch, at the paper's width; and whole runs.

    python -m tests.performance.gpu [--only single slow_multires] [--minutes 8] [--folder DIR] [--device cpu]

*Plain* is the same network from PyTorch's own layers in its default memory layout: in float32, under bfloat16 autocast,
and under autocast compiled. *Ours* is what a long fit runs. Batches are random clips that lie on the device already; a
step is forward, loss, backward and SGD with momentum, without a word to the host in between. Every network and way has
a process of its own. Those of some networks prepare side by side, then each is timed while the others do nothing. One
that fails or is not done in time is missing from the table and nothing else is. Rates are medians over rounds of
several steps; the best plain way is the fastest of the three. For ours, the losses of the first steps are compared with
those of the network as it is. Whole runs come after them: fits from the frame cache, and a test whose ledger has to be
the processor's. Prints one table of all that is asked last and leaves `gpu.json` in the folder. `--device cpu` tries
the script itself, on narrow networks and a few clips; it needs `--minutes 60` there.
"""

import argparse
import dataclasses
import functools
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmark.commands.text import aligned
from benchmark.cost import operation_counter
from benchmark.speed.machine import matmul_peak_gflop_per_second, memory_bandwidth_bytes_per_second
from tests.performance.gpu_rows import rows
from tests.performance.gpu_runs import alike, fit_from_cache, ledgers
from tests.performance.gpu_step import OURS, PLAIN, READY, Size, build, one, side_of, size_on
from tests.performance.training_steps import FRAMES, NETWORKS

_TURN_SECONDS = 40.0
RUNS_SECONDS = 150.0
"""What whole runs take on a GPU after the race."""


def gflop(name: str, size: Size) -> dict[str, float]:
    """Operations of a clip in units of 10^9, by shapes."""
    with FakeTensorMode():
        network, side = build(name, size, is_plain=True), side_of(name)
        clips = torch.zeros(1, FRAMES[name.removesuffix("_multires")], side, side, 3, dtype=torch.uint8)
        with operation_counter() as testing:
            logits = network(clips)
        with operation_counter() as backward:
            logits.sum().backward()
    test = testing.get_total_flops() / 1e9
    return {"test": test, "train": test + backward.get_total_flops() / 1e9}


class Worker:
    """A process for one network in one way.

    Args:
        name: The network.
        way: How it is computed.
        options: Of the command line.
    """

    def __init__(self, name: str, way: str, options: argparse.Namespace) -> None:
        self.name, self.way, self.lines = name, way, list[str]()
        words = [sys.executable, "-m", "tests.performance.gpu", "--one", name, way, "--device", options.device]
        self.process = subprocess.Popen(
            [*words, *(["--profile"] if options.profile else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            # Many compile at once here, each with helpers of its own if it were let.
            env={**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "1", "OMP_NUM_THREADS": "2"},
        )
        self.told: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith(READY):
                self.told.put("ready")
        self.told.put("ended")

    def is_ready(self, deadline: float) -> bool:
        """Whether it is prepared before then; otherwise it is ended."""
        try:
            if self.told.get(timeout=max(0.1, deadline - time.monotonic())) == "ready":
                return True
        except queue.Empty:
            self.process.kill()
        print(f"{self.name} {self.way} was not prepared:\n{''.join(self.lines[-12:])}", flush=True)
        return False

    def measured(self, deadline: float) -> dict[str, float]:
        """What it finds in its turn, as far as it comes."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            self.told.get(timeout=max(0.1, min(_TURN_SECONDS, deadline - time.monotonic())))
        except (queue.Empty, OSError):  # too slow, or ended since
            self.process.kill()
        found = [json.loads(line) for line in self.lines if line.startswith('{"network"')]
        print(f"{time.strftime('%X')} {found[-1] if found else ''.join(self.lines[-5:])}", flush=True)
        return found[-1] if found else {}


def measure_all(jobs: Sequence[tuple[str, str]], options: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """Rates by network and way; as many networks at a time as there are cores to prepare them."""
    deadline = time.monotonic() + 60 * options.minutes - (RUNS_SECONDS if options.device != "cpu" else 0)
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name, _ in jobs}
    names = list(found)
    at_once = max(1, (os.cpu_count() or 1) // 4)
    groups = [names[first : first + at_once] for first in range(0, len(names), at_once)]
    for number, group in enumerate(groups):
        share = (deadline - time.monotonic()) / (len(groups) - number)
        prepared = time.monotonic() + 0.75 * share
        workers = [Worker(name, way, options) for name, way in jobs if name in group]
        ready = [worker for worker in workers if worker.is_ready(prepared)]
        for worker in ready:
            found[worker.name][worker.way] = worker.measured(deadline)
            if options.profile:
                (options.folder / f"{worker.name}_{worker.way}.txt").write_text("".join(worker.lines), "utf-8")
        for worker in workers:
            worker.process.kill()
            worker.process.wait()
    return found


def table(
    found: dict[str, dict[str, dict[str, float]]], operations_of: dict[str, dict[str, float]], peak: float
) -> str:
    """Every network by work and batch."""
    rows = []
    for name, ways in found.items():
        operations = operations_of[name]
        for key in dict.fromkeys(key for rates in ways.values() for key in rates if key.split()[0] in operations):
            plain = [ways.get(way, {}).get(key) for way in PLAIN]
            others = {way: rates[key] for way, rates in ways.items() if way not in PLAIN and key in rates}
            best = max((rate for rate in plain if rate), default=None)
            for way, rate in others.items():
                rows.append(
                    [
                        f"{name}, {key}",
                        *(f"{rate:,.0f}" if rate else "-" for rate in plain),
                        way,
                        f"{rate:,.0f}",
                        f"{rate / best:.2f}x" if best else "-",
                        f"{rate * operations[key.split()[0]] / peak:.0%}",
                    ]
                )
    return aligned(["clips/s", *PLAIN, "way", "ours", "over the best", "of the peak"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--ways", nargs="+", choices=[*OURS, "ours_graphs", *PLAIN], default=["ours", *PLAIN])
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--folder", type=Path, default=Path("gpu"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = torch.device(options.device)
    if options.one:
        name, way = options.one
        one(name, way, device, is_profiled=options.profile)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    peak = matmul_peak_gflop_per_second(torch.bfloat16, device, side=8192 if device.type == "cuda" else 512)
    bandwidth = memory_bandwidth_bytes_per_second(device)
    print(f"peak {peak / 1e3:.3g} TFLOP/s in bfloat16, copies {bandwidth / 1e12:.3g} TB/s", flush=True)
    size = size_on(device)
    found = measure_all([(name, way) for name in options.only for way in options.ways], options)
    runs = options.folder.absolute() / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    fits = {
        clips: _tried(f"fit of {clips} clips a batch", functools.partial(fit_from_cache, runs, device.type, clips))
        for clips in (size.small, size.large)
    }
    same = _tried("ledgers", lambda: alike(*ledgers(runs, device.type)))
    operations = {name: gflop(name, size) for name in options.only}
    lines = rows(found, operations, peak, size, fits, same)
    report = {"peak_gflop_per_second": peak, "bytes_per_second": bandwidth, "clips_per_second": found}
    report |= {"fits": fits, "ledgers": same, "asked": [dataclasses.asdict(line) for line in lines]}
    (options.folder / "gpu.json").write_text(json.dumps(report, indent=1), "utf-8")
    print(table(found, operations, peak))
    print("\n" + aligned(["what", "asked", "found", ""], [line.cells() for line in lines]))


def _tried(what: str, part: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What a part finds; nothing where it fails, which the others do not notice."""
    try:
        found = part()
    except Exception as error:
        print(f"{what}: {error}", flush=True)
        return {}
    print(f"{time.strftime('%X')} {what}: {found}", flush=True)
    return found


if __name__ == "__main__":
    main()
