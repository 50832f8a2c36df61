"""How fast every network trains and tests on a GPU, ours against plain PyTorch, at the paper's width; and whole runs.

    python -m tests.performance.gpu [--only single slow_multires] [--minutes 8] [--folder DIR] [--device cpu]

*Plain* is the same network from PyTorch's own layers in its default memory layout: in float32, under bfloat16 autocast,
and under autocast compiled. *Ours* is what a long fit runs. Batches are random clips that lie on the device already; a
step is forward, loss, backward and SGD with momentum, without a word to the host in between. Every network and way has
a process of its own. Those of some networks prepare side by side, then each is timed while the others do nothing. One
that fails or is not done in time is missing from the table and nothing else is. Rates are medians over rounds of
several steps; the best plain way is the fastest of the three. For ours, the losses of the first steps are compared with
those of the network as it is. Whole runs come after them: a test whose ledger has to be the processor's, and fits from
the frame cache. All of it ends within the minutes. `gpu.json` in the folder is written again after every part, so that
it holds what was found also where this is killed; one table of all that is asked is printed last. `--device cpu` tries
the script itself, on narrow networks and a few clips; it needs `--minutes 60` there.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import math
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
from benchmark.files import write_whole
from benchmark.runs.facts import hardware_facts
from benchmark.speed.machine import matmul_peak_gflop_per_second, memory_bandwidth_bytes_per_second
from tests.performance.gpu_rows import MISSING, WORKS, rows
from tests.performance.gpu_runs import alike, fit_from_cache, ledgers, make_data
from tests.performance.gpu_step import FAILED, OURS, PLAIN, READY, UNPREPARED, Size, build, one, side_of, size_on
from tests.performance.targets import Line
from tests.performance.training_steps import FRAMES, NETWORKS

_MOST_AT_ONCE = 4
"""Networks that lie on the GPU side by side, in each of their ways."""
_TURN_SECONDS, _UNPREPARED_TURN_SECONDS = 40.0, 80.0
_WAIT_SECONDS = 5.0
"""What a killed process may take to go."""
_SPARE_SECONDS = 15.0
"""Of the minutes: for what comes before the clock starts, and for the tables."""
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


class Report:
    """What was found so far; `gpu.json` has all of it at any moment.

    Args:
        folder: Of the file.
        size: Of what is measured.
    """

    def __init__(self, folder: Path, size: Size) -> None:
        self.path, self.size = folder / "gpu.json", size
        self.machine: dict[str, float] = {}
        self.gflop: dict[str, dict[str, float]] = {}
        self.found: dict[str, dict[str, dict[str, float]]] = {}
        self.fits: dict[int, dict[str, float]] = {}
        self.ledgers: dict[str, float] = {}

    def add(self, what: str, into: dict[str, float], part: Callable[[], dict[str, float]]) -> None:
        """Add what a part finds and write it down; nothing where it fails, which the others do not notice."""
        try:
            found = part()
            into |= found
            print(f"{time.strftime('%X')} {what}: {found}", flush=True)
        except Exception as error:
            print(f"{time.strftime('%X')} {what} failed: {type(error).__name__}: {error}", flush=True)
        try:
            self._write()
        except OSError as error:
            print(f"{self.path} was not written: {error}", flush=True)

    @property
    def peak(self) -> float:
        """GFLOP/s in bfloat16."""
        return self.machine.get("peak_gflop_per_second", MISSING)

    def lines(self) -> list[Line]:
        """All that is asked; none where they cannot be worked out: what was measured is written anyhow."""
        try:
            return rows(self.found, self.gflop, self.peak, self.size, self.fits, self.ledgers)
        except Exception as error:
            print(f"rows failed: {type(error).__name__}: {error}", flush=True)
            return []

    def _write(self) -> None:
        report = {**self.machine, "gflop_per_clip": self.gflop, "clips_per_second": self.found}
        report |= {"fits": self.fits, "ledgers": self.ledgers}
        report |= {"asked": [dataclasses.asdict(line) for line in self.lines()]}
        write_whole(self.path, json.dumps(report, indent=1))


class Worker:
    """A process for one network in one way.

    Args:
        name: The network.
        way: How it is computed.
        options: Of the command line.
    """

    def __init__(self, name: str, way: str, options: argparse.Namespace) -> None:
        self.name, self.way, self.lines, self.turn_seconds = name, way, list[str](), _TURN_SECONDS
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
                self.turn_seconds = _UNPREPARED_TURN_SECONDS if line.startswith(UNPREPARED) else _TURN_SECONDS
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
        """What it finds in its turn, as far as it comes.

        Raises:
            RuntimeError: With the end of what it printed, if it finds nothing.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            self.told.get(timeout=max(0.1, min(self.turn_seconds, deadline - time.monotonic())))
        except (queue.Empty, OSError):  # too slow, or ended since
            self.process.kill()
        lines = list(self.lines)
        print("".join(f"{self.name} {self.way}, {line}" for line in lines if line.startswith(FAILED)), end="")
        # The last line of a killed process may be torn.
        found = [line for line in lines if line.startswith('{"network"') and line.endswith("}\n")]
        if not found:
            raise RuntimeError("".join(lines[-5:]))
        rates: dict[str, float] = json.loads(found[-1])
        return {key: rate for key, rate in rates.items() if key not in {"network", "way"}}


def end_all(workers: Sequence[Worker]) -> None:
    """Kill what still runs; what does not even go then is left behind."""
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        try:
            worker.process.wait(_WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"{worker.name} {worker.way} could not be killed", flush=True)


def measure_all(jobs: Sequence[tuple[str, str]], options: argparse.Namespace, report: Report, deadline: float) -> None:
    """Rates by network and way; as many networks at a time as there are cores to prepare them."""
    names = list(dict.fromkeys(name for name, _ in jobs))
    at_once = min(_MOST_AT_ONCE, max(1, hardware_facts(1, torch.device("cpu")).cores // 4))
    groups = [names[first : first + at_once] for first in range(0, len(names), at_once)]
    for number, group in enumerate(groups):
        share = (deadline - time.monotonic()) / (len(groups) - number)
        prepared = time.monotonic() + 0.75 * share
        workers: list[Worker] = []
        try:
            for name, way in jobs:
                if name in group:
                    workers.append(Worker(name, way, options))
            for worker in [worker for worker in workers if worker.is_ready(prepared)]:
                rates = report.found.setdefault(worker.name, {}).setdefault(worker.way, {})
                report.add(f"{worker.name} {worker.way}", rates, functools.partial(worker.measured, deadline))
                if options.profile:  # where the disk is full, the rates of the others are still to be printed
                    with contextlib.suppress(OSError):
                        (options.folder / f"{worker.name}_{worker.way}.txt").write_text("".join(worker.lines), "utf-8")
        except OSError as error:  # the groups behind it may still fit
            print(f"{', '.join(group)}: {error}", flush=True)
        finally:
            end_all(workers)


def table(report: Report) -> str:
    """Every network by work and batch."""
    rows = []
    for name, ways in report.found.items():
        for key in dict.fromkeys(key for rates in ways.values() for key in rates if key.split()[0] in WORKS):
            plain = [ways.get(way, {}).get(key) for way in PLAIN]
            others = {way: rates[key] for way, rates in ways.items() if way not in PLAIN and key in rates}
            best = max((rate for rate in plain if rate), default=None)
            for way, rate in others.items():
                share = rate * report.gflop.get(name, {}).get(key.split()[0], MISSING) / report.peak
                rows.append(
                    [
                        f"{name}, {key}",
                        *(f"{rate:,.0f}" if rate else "-" for rate in plain),
                        way,
                        f"{rate:,.0f}",
                        f"{rate / best:.2f}x" if best else "-",
                        "-" if math.isnan(share) else f"{share:.0%}",
                    ]
                )
    return aligned(["clips/s", *PLAIN, "way", "ours", "over the best", "of the peak"], rows)


def main() -> None:
    begun = time.monotonic()
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
    end_at(begun + 60 * options.minutes - _SPARE_SECONDS / 3)
    deadline = begun + 60 * options.minutes - _SPARE_SECONDS
    options.folder.mkdir(parents=True, exist_ok=True)
    runs = options.folder.absolute() / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    size = size_on(device)
    report = Report(options.folder, size)
    for name in options.only:
        report.add(f"operations of {name}", report.gflop.setdefault(name, {}), functools.partial(gflop, name, size))
    report.add("peak", report.machine, functools.partial(matmul_peak, device))
    report.add("copies", report.machine, lambda: {"bytes_per_second": memory_bandwidth_bytes_per_second(device)})
    # Needs the processor alone, most of which waits for compilers while the race prepares.
    threading.Thread(target=make_data, args=(runs, device.type), daemon=True).start()
    jobs = [(name, way) for name in options.only for way in options.ways]
    measure_all(jobs, options, report, deadline - min(RUNS_SECONDS, (deadline - time.monotonic()) / 3))
    report.add("ledgers", report.ledgers, lambda: alike(*ledgers(runs, device.type, deadline)))
    for clips in (size.small, size.large):
        fit = functools.partial(fit_from_cache, runs, device.type, clips, deadline)
        report.add(f"fit of {clips} clips a batch", report.fits.setdefault(clips, {}), fit)
    print(table(report))
    print("\n" + aligned(["what", "asked", "found", ""], [line.cells() for line in report.lines()]))


def matmul_peak(device: torch.device) -> dict[str, float]:
    """Of the machine, in bfloat16."""
    side = 8192 if device.type == "cuda" else 512
    return {"peak_gflop_per_second": matmul_peak_gflop_per_second(torch.bfloat16, device, side=side)}


def end_at(moment: float) -> None:
    """End this process then, whatever hangs: its report is there, and who waits for a turn ends with it."""

    def end() -> None:
        print("the time is up", flush=True)
        os._exit(1)

    timer = threading.Timer(moment - time.monotonic(), end)
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    main()
