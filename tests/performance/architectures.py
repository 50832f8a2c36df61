"""Every configured architecture after equal minutes of training on one data set, in one table.

    python -m tests.performance.architectures RESULTS [--minutes 1.5] [--configs conf/*.yaml conf/zoo/*.yaml] -- OPTIONS

OPTIONS go to every fit and test, such as `--data conf/data/ucf101.yaml --data.root DIR --data.batch_size 8`.
Each configuration is a fit that ends when its minutes are over, at a learning rate that does not fall, and a test of
its last weights with one clip a video and one view; what RESULTS holds already is not run again. The table, left as
RESULTS/table.md too, says what a small budget buys, and nothing else: networks made for weeks on many GPUs have seen
some hundred clips. A dash stands where a training was over before the first step that is timed.
"""

import argparse
import csv
import datetime
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmark.commands.text import aligned
from benchmark.pages.tables import TextTable
from tests.performance.command_line import split_options

HEADER = (
    "architecture", "parameters", "GFLOP a clip", "train clips/s", "test clips/s", "clips trained on", "video Hit@1"
)  # fmt: skip


def verb(words: Sequence[str], log: Path) -> str:
    """Run a verb of the command line; returns what went wrong, or nothing."""
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [sys.executable, "-m", "benchmark", *words], stdout=output, stderr=subprocess.STDOUT, check=False
        )
    lines = log.read_text(errors="replace", encoding="utf-8").strip().splitlines() or ["no output"]
    return lines[-1][:200] if done.returncode else ""


def train_and_test(config: Path, folder: Path, minutes: float, options: Sequence[str]) -> None:
    """Leave `result.json` in a folder: the record of the test and what the fit did."""
    result = folder / "result.json"
    asked = {"minutes": minutes, "options": list(options)}
    if result.exists() and (held := json.loads(result.read_text("utf-8"))["asked"]) != asked:
        raise SystemExit(f"{result} is of {held}, and {asked} is asked for; name another folder for the results")
    if result.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    limit = str(datetime.timedelta(minutes=minutes)).partition(".")[0]
    shared = ["--config", str(config), *options]
    fit = [
        *("fit", *shared, "--run_dir", str(folder / "fit"), "--model.recipe.cooldown", "0"),
        *("--trainer.max_time", f"00:{limit.zfill(8)}", "--trainer.max_epochs", "100000"),
        *("--trainer.limit_val_batches", "0", "--trainer.enable_progress_bar", "false"),
    ]
    problem = verb(fit, folder / "fit.log")
    last = folder / "fit/checkpoints/last.ckpt"
    if not problem:
        test = [
            *("test", *shared, "--run_dir", str(folder / "test"), "--ckpt_path", str(last)),
            *("--data.clips_per_video.test", "1", "--data.test_views", "[centre]"),
            *("--trainer.enable_progress_bar", "false"),
        ]
        problem = verb(test, folder / "test.log")
    found: dict[str, Any] = {"asked": asked, "problem": problem}
    if not problem:
        steps = torch.load(last, map_location="cpu", weights_only=True)["global_step"]
        found |= {"steps": steps, "train_clips_per_second": train_rate(folder / "fit")}
        found["record"] = json.loads((folder / "test/record.json").read_text("utf-8"))
        last.unlink()
    result.write_text(json.dumps(found), "utf-8")


def train_rate(run: Path) -> float:
    """Clips a second end to end in the last epoch that has a figure; NaN where no step followed the warm-up."""
    rates = [
        float(row["train/clips_per_second"])
        for path in run.glob("csv/*/metrics.csv")
        for row in csv.DictReader(path.open(encoding="utf-8"))
        if row.get("train/clips_per_second")
    ]
    return rates[-1] if rates else float("nan")


def row(name: str, found: dict[str, Any]) -> list[str]:
    """A line of the table."""
    if found["problem"]:
        return [name, *("-" for _ in HEADER[2:]), found["problem"]]
    record = found["record"]
    model, batch = record["model"], record["config"]["data"]["init_args"]["batch_size"]
    return [
        name,
        f"{model['parameters']:,}",
        f"{model['gflop_per_clip']:.2f}",
        "-" if math.isnan(found["train_clips_per_second"]) else f"{found['train_clips_per_second']:.1f}",
        f"{record['throughput']['clips_per_second']:.1f}",
        f"{found['steps'] * batch:,}",
        f"{100 * record['metrics']['video_hit1']['value']:.1f}",
    ]


def default_configs() -> list[Path]:
    """The shipped networks."""
    return [*sorted(Path("conf").glob("*.yaml")), *sorted(Path("conf/zoo").glob("*.yaml"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--configs", type=Path, nargs="+", default=default_configs())
    own, options = split_options()
    chosen = parser.parse_args(own)
    rows = []
    for config in chosen.configs:
        train_and_test(config, chosen.results / config.stem, chosen.minutes, options)
        rows.append(row(config.stem, json.loads((chosen.results / config.stem / "result.json").read_text("utf-8"))))
        print(" | ".join(rows[-1]), flush=True)
    budget = f"budget-limited: {chosen.minutes:g} minutes of training each, one clip and view a test video"
    print(f"\n{budget}\n{aligned(list(HEADER), rows)}")
    table = TextTable(HEADER, tuple(tuple(cells) for cells in rows))
    (chosen.results / "table.md").write_text(f"{budget}\n\n{table.markdown()}\n", "utf-8")


if __name__ == "__main__":
    main()
