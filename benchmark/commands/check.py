"""Checks that an architecture does what the suite relies on, and says what it costs."""

import inspect
from collections.abc import Sequence

import torch
from jsonargparse.typing import PositiveInt

from benchmark.command_line import Parser
from benchmark.conformance import CHECKS, Finding, Subject, run_check
from benchmark.conformance.optional import compilation, export
from benchmark.cost import clips_per_second, gflop_per_clip, parameter_count
from benchmark.errors import printable
from benchmark.importing import one_line
from benchmark.models import VideoClassifier
from benchmark.plugins import load_class, require_named_classes


def check(subject: Subject, *, compiled: bool) -> int:
    """Print what each check finds, what to change, and what a clip costs.

    Args:
        subject: The architecture with its options.
        compiled: Whether `torch.compile` and `torch.export` are tried; they take a minute and fail nobody.

    Returns:
        0, or 1 if a check fails.
    """
    print(f"{subject.class_path}")
    if unbuilt := subject.unbuilt():
        print("  FAILED", flush=True)
        _show(unbuilt)
        return 1
    failed = 0
    for name, function in CHECKS.items():
        found = run_check(function, subject)
        failed += bool(found)
        print(
            f"  {'FAILED' if found else 'ok':8s}{name:20s}{(inspect.getdoc(function) or '').splitlines()[0]}",
            flush=True,
        )
        _show(found)
    if compiled:
        print(f"  torch.compile {printable(compilation(subject))}\n  torch.export {printable(export(subject))}")
    else:
        print("  torch.compile and torch.export not tried; pass --compile true")
    print(_cost(subject.network))
    print(f"{failed} of {len(CHECKS)} checks failed" if failed else f"all {len(CHECKS)} checks passed")
    return 1 if failed else 0


def _show(found: Sequence[Finding]) -> None:
    for finding in found:
        print(f"          {printable(finding.problem)}\n          change: {printable(finding.change)}")


def _cost(network: VideoClassifier) -> str:
    parts = [f"{parameter_count(network):,} parameters"]
    network.eval()
    try:
        parts.append(f"{gflop_per_clip(network):.3f} GFLOP a clip")
    except Exception as error:  # an operation that cannot be followed by shape
        parts.append(f"GFLOP a clip are not known ({one_line(error)})")
    try:
        speed = clips_per_second(network)
        parts.append(f"{speed:.1f} clips/s without gradients on {torch.get_num_threads()} threads of the processor")
    except Exception as error:
        parts.append(f"clips/s are not known ({one_line(error)})")
    return printable(", ".join(parts))


def main(argv: Sequence[str]) -> int:
    """Run `check CLASS_PATH [--model.option value ...]` and return the exit code."""
    parser = Parser(
        prog="clipbench check",
        description="Run an architecture through every check it must pass.",
        epilog="Any other option goes to the architecture, as in fit: --model.OPTION VALUE.",
    )
    parser.add_argument("class_path", help="my_file.MyModel of the current folder, or a short name.")
    parser.add_argument("--steps", type=PositiveInt, default=30, help="Steps in which the loss on 8 clips must fall.")
    parser.add_argument("--compile", type=bool, default=False, help="Try torch.compile and torch.export too.")
    chosen, words = parser.parse_own(argv, ("--model",))
    require_named_classes(["--model", chosen.class_path])
    load_class(chosen.class_path, VideoClassifier)
    subject = Subject.parse(["--model", chosen.class_path, *words], steps=chosen.steps)
    return check(subject, compiled=chosen.compile)
