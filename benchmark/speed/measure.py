"""The flow of a measurement, from what a fit would run to one report.

configuration -> model, data module, Trainer (the very objects of a fit) -> loading | steps of a fit | the machine's
limits | both resolutions | other libraries -> SpeedReport -> text, speed.json, speed.png
"""

import warnings

import torch

from benchmark.models.average import Average
from benchmark.models.building import build, configured
from benchmark.models.video_classifier import VideoClassifier
from benchmark.speed.comparison import compare
from benchmark.speed.loading import measure_loading
from benchmark.speed.machine import machine_facts
from benchmark.speed.multires import PAPER_CLIPS_PER_SECOND, has_both, measure_gains
from benchmark.speed.options import SpeedCLI
from benchmark.speed.peers import choose_peers
from benchmark.speed.report import Gain, SpeedReport
from benchmark.speed.scoring import measure_scoring
from benchmark.speed.training import computing_dtype, measure_training


def measure(cli: SpeedCLI) -> SpeedReport:
    """Everything that was asked for, one after the other.

    Args:
        cli: The parsed command line and the objects it made.

    Raises:
        UserError: If there is nothing to measure, or a library that was asked for is not there.
    """
    options, model, data, trainer = cli.options, cli.model, cli.datamodule, cli.trainer
    seed = data.seed if options.seed is None else options.seed
    names, missing = choose_peers(options.compare)
    print("measuring: loading", flush=True)
    loading = measure_loading(data, clips=options.clips, rounds=options.rounds, seed=seed)
    training, scoring = None, None
    if isinstance(model, Average):
        print("measuring: scoring", flush=True)
        scoring = measure_scoring(model, trainer, data.batch_size, steps=options.steps, rounds=options.rounds)
    else:
        print("measuring: training", flush=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*ReduceLROnPlateau conditioned on metric.*")  # nothing is validated
            training = measure_training(trainer, model, data, cli.clock, steps=options.steps, rounds=options.rounds)
    print("measuring: the machine's limits", flush=True)
    device = trainer.strategy.root_device
    machine = machine_facts(device, [torch.float32, torch.bfloat16, computing_dtype(str(trainer.precision))])
    gains: tuple[Gain, ...] = ()
    if training is not None and has_both(model):
        print("measuring: full and multires", flush=True)
        gains = measure_gains(
            _both_resolutions(cli, model.num_classes),
            trainer,
            machine,
            training.dtype,
            batch_size=data.batch_size,
            steps=options.steps,
            rounds=options.rounds,
        )
    comparison = None
    if names:
        print(f"measuring: {', '.join(names)}", flush=True)
        comparison = compare(data, names, missing, clips=options.clips, rounds=options.rounds, seed=seed)
    return SpeedReport(cli.name, machine, loading, training, gains, comparison, cli.plain, scoring)


def _both_resolutions(cli: SpeedCLI, num_classes: int) -> dict[str, VideoClassifier]:
    """The configured network at full and at multires resolution."""
    written = cli.plain["model"]
    options = {**(written.get("init_args") or {}), "num_classes": num_classes}
    return {
        resolution: build(configured(written["class_path"], {**options, "resolution": resolution}))
        for resolution in PAPER_CLIPS_PER_SECOND
    }
