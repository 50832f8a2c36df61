"""Which runs there are, in an order in which none needs a later one: a run waits for those it needs."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.generators.transfer_grids import write_config
from tests.gpu.probe import SECONDS as PROBE_SECONDS
from tests.gpu.runs import ACCELERATOR, IS_DRY, ROOT, Runs

OTHERS = {ROOT / "conf" / name for name in ("average.yaml", "histograms.yaml")}  # of trained networks; of whole videos
TRAINED = {*(ROOT / "conf").glob("*.yaml")} - OTHERS
CONFIGURATIONS = sorted([*TRAINED, *(ROOT / "conf/zoo").glob("*.yaml")])
PROBES = 2 if IS_DRY else 4
"""Processes that share the configurations."""
REPEATABLE = ("--trainer.deterministic", "true", "--trainer.max_epochs", "2")
MOTION = ("--data.classes", "[Expand, Contract, Rise, Sink]")
APPEARANCE = ("--data.classes", "[Discs, Tiles, Stripes, Blobs]")


def start_all(runs: Runs) -> None:
    """Start everything."""

    def begin(verb: str, name: str, *more: str, device: str = ACCELERATOR, weights: str | None = None) -> None:
        def words() -> list[str]:
            given = ["--ckpt_path", runs.need(weights).checkpoint] if weights else []
            return runs.verb(verb, name, *more, *given, device=device)

        runs.start(name, words)

    begin("fit", "fit")
    begin("fit", "fit_processor", device="cpu")
    begin("fit", "fit_auto", "--trainer.precision", "auto", "--data.num_workers", "2")
    begin("fit", "fit_appearance", *APPEARANCE)
    begin("fit", "repeat_1", *REPEATABLE)
    begin("fit", "repeat_2", *REPEATABLE)
    long = (*REPEATABLE, "--checkpoint.minutes", "0.001")
    runs.start("killed", lambda: runs.verb("fit", "killed", *long), killed=True)
    begin("fit", "fit_compiled", "--trainer.compile", "always")
    begin("test", "test", weights="fit")
    begin("test", "test_compiled", "--trainer.compile", "always", weights="fit")
    begin("test", "test_processor", device="cpu", weights="fit")
    begin("test", "test_auto", "--trainer.precision", "auto", "--data.num_workers", "2", weights="fit_auto")
    begin("test", "test_of_processor", weights="fit_processor")
    begin("validate", "validate", weights="fit")
    begin("predict", "predict", weights="fit")
    begin("fit", "on_with_processor", "--trainer.max_epochs", "2", weights="fit_processor")
    begin("fit", "on_with_gpu", "--trainer.max_epochs", "2", device="cpu", weights="fit")
    runs.start(
        "resumed", _after(runs, "killed", lambda: runs.verb("fit", "killed", *REPEATABLE, "--ckpt_path", "last"))
    )
    runs.start("transfer_fit", lambda: _transfer_fit(runs))
    runs.start("transfer", lambda: _transfer(runs))
    runs.start("check", lambda: ["-m", "benchmark", "check", "SingleFrame", "--model.width", "0.05"])
    short = ("--speed.clips", "6", "--speed.steps", "4", "--speed.rounds", "2")
    begin("speed", "speed", *short)
    for number in range(PROBES):
        paths = CONFIGURATIONS[number::PROBES]
        runs.start(
            f"probe_{number}", functools.partial(_probe, runs, number, paths), seconds=len(paths) * PROBE_SECONDS
        )


def _after(runs: Runs, name: str, words: Callable[[], list[str]]) -> Callable[[], list[str]]:
    def made() -> list[str]:
        runs.need(name)
        return words()

    return made


def _transfer_fit(runs: Runs) -> list[str]:
    pretrained = runs.need("fit_appearance").checkpoint
    regime = ("--transfer.regime", "top", "--transfer.pretrained", pretrained, "--trainer.max_epochs", "2")
    return runs.verb("fit", "transfer_fit", *MOTION, *regime)


def _transfer(runs: Runs) -> list[str]:
    pretrained = runs.need("fit_appearance").checkpoint
    config = write_config(runs.folder, runs.data, folds=[1], regimes={"top": {"keep_probabilities": [0.5]}})
    words = ["-m", "benchmark", "transfer", "--config", str(config), "--pretrained", pretrained]
    device = ["--trainer.accelerator", ACCELERATOR, "--trainer.devices", "1"]
    return [*words, "--run_dir", str(runs.folder / "transfer"), *device]


def _probe(runs: Runs, number: int, paths: Sequence[Path]) -> list[str]:
    found = runs.folder / f"probe_{number}.jsonl"
    return ["-m", "tests.gpu.probe", ACCELERATOR, str(found), *map(str, paths)]
