"""Measures the networks of all entries one after the other, on a machine that does nothing else meanwhile."""

import datetime
import importlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmark.cost import clips_per_second
from benchmark.errors import UserError
from benchmark.files import write_whole
from benchmark.leaderboard.entries import Entry
from benchmark.leaderboard.speeds import FILE_NAME, Speeds
from benchmark.models import VideoClassifier
from benchmark.runs.facts import hardware_facts

_OURS = "benchmark.models."
_MOST_LOAD = 0.5
_SECONDS = 5.0


def measure_speeds(root: Path, entries: Sequence[Entry], accelerator: str, seconds: float = _SECONDS) -> Path:
    """Write the speeds of all entries whose networks come with this package and whose ledgers are at hand.

    Networks that are built alike are measured once, so that folds and regimes of training have one speed.

    Args:
        root: The leaderboards' folder.
        entries: Its entries.
        accelerator: Device that computes, as PyTorch names it.
        seconds: Least time for each network.

    Raises:
        UserError: If there is no such device, or the machine is busy before it begins.
    """
    device = require_device(accelerator)
    require_idle()
    measured: dict[str, float] = {}
    speeds: dict[str, float] = {}
    for entry in entries:
        model = entry.record.model
        if entry.ledger is None or not model.class_path.startswith(_OURS):
            print(f"not measured: {entry.entry_id}")
            continue
        options = {name: value for name, value in model.options.items() if not name.startswith("transfer_")}
        classes = len(entry.ledger.info.class_names)
        key = json.dumps([model.class_path, options, classes], sort_keys=True)
        if key not in measured:
            module, _, name = model.class_path.rpartition(".")
            network = getattr(importlib.import_module(module), name)(classes, **options)
            if not isinstance(network, VideoClassifier):
                raise UserError(f"{entry.entry_id} names {model.class_path}, which is no architecture")
            measured[key] = clips_per_second(network.to(device), seconds=seconds)
        speeds[entry.entry_id] = round(measured[key], 2)
    found = Speeds(
        hardware=hardware_facts(1, device),
        created=datetime.datetime.now(datetime.UTC),
        entries=dict(sorted(speeds.items())),
    )
    write_whole(root / FILE_NAME, found.model_dump_json(indent=1) + "\n")
    return root / FILE_NAME


def require_device(accelerator: str) -> torch.device:
    """The device of a name, if it computes here.

    Raises:
        UserError: If it does not.
    """
    try:
        device = torch.device(accelerator)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # as torch says that it has no such device
        reason = str(error).splitlines()[0]
        raise UserError(f"--accelerator is {accelerator}, which cannot compute here ({reason}); use cpu") from None
    return device


def require_idle() -> None:
    """Refuse a machine on which others compute, where the system says so.

    Raises:
        UserError: With its load.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > _MOST_LOAD:
        raise UserError(
            f"the load of this machine was {load:.1f} in the last minute; speeds are measured where nothing else runs "
            f"(at most {_MOST_LOAD:g}). End the rest and wait a minute"
        )
