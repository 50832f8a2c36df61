"""Is anything slower than at an earlier commit? Both are measured in turns on this machine, and compared by ratios.

    python -m tests.performance.regression [--against HEAD~1] [--turns 3] -- OPTIONS

OPTIONS are those of `speed`, such as `--config conf/multires.yaml --data.root DIR`, with absolute paths: the earlier
commit is checked out into a folder of its own, and this checkout is measured as it is. Prints this checkout's clips/s
over the earlier ones' for each stage, median and range over the turns, and ends with 1 if the median of anything whole
lies below 0.9; parts of it, some of a fraction of a millisecond, only tell where to look.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.commands.text import aligned
from tests.performance.command_line import split_options

ROOT = Path(__file__).resolve().parents[2]
SLOWER = 0.9
PARTS = {"open", "decode", "convert and resize", "cut", "batch", "forward", "backward", "optimizer"}


def measure(checkout: Path, run: Path, options: Sequence[str]) -> dict[str, float]:
    """Clips/s of each stage in one call of `speed`."""
    words = [sys.executable, "-m", "benchmark", "speed", *options, "--run_dir", str(run)]
    done = subprocess.run(words, cwd=checkout, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise SystemExit(f"speed does not run in {checkout}: {(done.stderr or done.stdout).strip()[-300:]}")
    report: dict[str, Any] = json.loads((run / "speed.json").read_text("utf-8"))
    loading, training = report["loading"], report["training"]
    found = {stage["name"]: stage for stage in (*loading["stages"], loading["whole"])}
    found |= {name: training[name] for name in ("forward", "backward", "optimizer")}
    if loading["cached"]:
        found["from the cache"] = loading["cached"]
    for gain in report["gains"]:
        found |= {f"{gain['work']}, {size}": gain[size]["measured"] for size in ("full", "multires")}
    rates = {name: sum(stage["clips"]) / max(sum(stage["seconds"]), 1e-9) for name, stage in found.items()}
    parts = [training[name] for name in ("waiting", "forward", "backward", "optimizer")]
    return {**rates, "end to end": sum(parts[0]["clips"]) / sum(sum(part["seconds"]) for part in parts)}


def table(turns: Sequence[tuple[dict[str, float], dict[str, float]]]) -> tuple[str, float]:
    """Ratios of the later to the earlier commit, and the lowest median of anything whole."""
    rows, lowest = [], float("inf")
    for name in turns[0][0]:
        ratios = [later[name] / earlier[name] for earlier, later in turns]
        middle = statistics.median(ratios)
        lowest = lowest if name in PARTS else min(lowest, middle)
        rows.append([name, f"{middle:.2f}x", f"{min(ratios):.2f}x to {max(ratios):.2f}x"])
    return aligned(["stage", "this checkout is", "range over turns"], rows), lowest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", default="HEAD~1", help="The earlier commit.")
    parser.add_argument("--turns", type=int, default=3)
    own, options = split_options()
    chosen = parser.parse_args(own)
    with tempfile.TemporaryDirectory() as scratch:
        earlier = Path(scratch) / "earlier"
        subprocess.run(["git", "worktree", "add", "--detach", "-q", str(earlier), chosen.against], cwd=ROOT, check=True)
        try:
            turns = []
            for turn in range(chosen.turns):
                found = {}
                for checkout in (
                    (earlier, ROOT) if turn % 2 == 0 else (ROOT, earlier)
                ):  # so that no side is always first
                    run = Path(scratch) / f"{turn}-{checkout == ROOT}"
                    found[checkout] = measure(checkout, run, options)
                turns.append((found[earlier], found[ROOT]))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(earlier)], cwd=ROOT, check=True)
    shown, lowest = table(turns)
    print(shown)
    return 1 if lowest < SLOWER else 0


if __name__ == "__main__":
    sys.exit(main())
