"""Scores random videos of an entry again from their files: the only proof that a ledger came from its checkpoint."""

import datetime
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import benchmark
from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.importing import foreign_code
from benchmark.isolation import Isolation, isolated
from benchmark.leaderboard.entries import ledger_path
from benchmark.leaderboard.reproductions import Reproduction
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import Ledger
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import Record

SEEN_TOO = ("--allow_contaminated", "true")
"""For a test whose record is compared with another one, and says itself that test videos were seen."""


def reproduce_entry(
    folder: Path,
    checkpoint: Path,
    videos: int,
    data_root: Path | None,
    lists: Path | None,
    allowed_difference: float,
    trust_code: bool,
) -> Reproduction:
    """Run the recorded test on some of its videos and compare the scores.

    Args:
        folder: Of the record and ledger.
        checkpoint: The weights.
        videos: How many to score, drawn at random; nobody can know which ones beforehand.
        data_root: Folder of the videos, or None for the recorded one.
        lists: Folder of the official lists, or None for the recorded one.
        allowed_difference: Noted in the result.
        trust_code: Whether to run classes from outside this package.

    Raises:
        UserError: If the checkpoint is not the recorded one, the ledger is not at hand, the test fails, or the record
            says of model, board or provenance what the test denies.
    """
    record, path = require_entry(folder, checkpoint)
    seed = secrets.randbelow(2**31)
    settings = recorded_settings(record, data_root, lists, trust_code)
    take_members(settings, record, checkpoint)
    with tempfile.TemporaryDirectory() as scratch:
        run_dir = Path(scratch) / "run"
        sample = ("--sample.videos", str(videos), "--sample.seed", str(seed))
        run_test(settings, checkpoint, run_dir, *sample, *SEEN_TOO)
        fresh, again = Ledger.read(run_dir / LEDGER_NAME), Record.read(run_dir)
    if again.dataset != record.dataset:
        raise UserError(f"the record is about {record.dataset}, and here is {again.dataset}")
    if different := other_model(record, again):
        raise UserError(different)
    if again.checkpoint.provenance != record.checkpoint.provenance:
        raise UserError(other_provenance(record, again.checkpoint.provenance))
    return Reproduction(
        ledger_sha256=record.ledger.sha256,
        checkpoint_sha256=record.checkpoint.sha256,
        record_sha256=file_hash(folder / RECORD_NAME),
        videos=len(fresh),
        seed=seed,
        largest_difference=largest_difference(Ledger.read(path), fresh),
        allowed_difference=allowed_difference,
        created=datetime.datetime.now(datetime.UTC),
        code=benchmark.__version__,
    )


def require_entry(folder: Path, checkpoint: Path) -> tuple[Record, Path]:
    """The record of a folder and the path of its ledger, if the checkpoint is the one that it names.

    Raises:
        UserError: If it is not, the ledger is not at hand, or it is an average of ledgers.
    """
    record = Record.read(folder)
    if record.average is not None and any(member.ledger_sha256 for member in record.average.members):
        names = ", ".join(member.name for member in record.average.members)
        raise UserError(
            f"{folder} is an average of ledgers, which no checkpoint has; reproduce its members: {names}. `leaderboard "
            "verify` works it out again from those that are entries"
        )
    path = ledger_path(folder, record)
    if path is None or file_hash(path) != record.ledger.sha256:
        raise UserError(f"{folder} holds no ledger, or not the one that its record is about")
    if not checkpoint.is_file() or (hashed := file_hash(checkpoint)) != record.checkpoint.sha256:
        held = hashed if checkpoint.is_file() else "missing"
        raise UserError(
            f"--ckpt_path {checkpoint} is not the checkpoint of this record: its SHA-256 is {held}, and the record's "
            f"is {record.checkpoint.sha256}"
        )
    return record, path


def take_members(settings: dict[str, Any], record: Record, checkpoint: Path) -> None:
    """Let an average take its members from its own checkpoint, which holds them."""
    if record.average is not None:
        settings["model"]["init_args"] |= {"checkpoints": [str(checkpoint.absolute())], "weights": None}


def other_model(record: Record, again: Record) -> str | None:
    """How the network of a test is another one than a record's, or None."""
    # Options may hold paths of another machine; what they make of the network shows in the rest.
    said, found = (part.model.model_dump(exclude={"options"}) for part in (record, again))
    return None if said == found else f"the record's model is {said}, and the test gives {found}"


def other_provenance(record: Record, found: str) -> str:
    """In words, that a checkpoint says another thing of its training than the record does."""
    said = record.checkpoint.provenance
    return f"the record says that the weights are {said}, and the checkpoint that they are {found}"


def recorded_settings(record: Record, data_root: Path | None, lists: Path | None, trust_code: bool) -> dict[str, Any]:
    """Model, data and precision of a record, and nothing else of a stranger's configuration.

    Raises:
        UserError: If they are missing, name a class from outside this package that is not trusted, or need videos.
    """
    settings: dict[str, Any] = {"trainer": {"precision": record.precision}}
    for name in ("model", "data"):
        part = record.config.get(name)
        if not isinstance(part, dict) or not isinstance(part.get("class_path"), str):
            raise UserError(f"the record's configuration names no {name}, so its test cannot be run again")
        path = part["class_path"]
        if not trust_code:
            for strange in foreign_code(part):
                raise UserError(
                    f"the record's {name} names {strange}, code from outside this package; look at it, and pass "
                    "--trust_code true"
                )
        settings[name] = {"class_path": path, "init_args": dict(part.get("init_args") or {})}
    if "weights" in settings["model"]["init_args"]:
        settings["model"]["init_args"]["weights"] = None  # the checkpoint holds them
    if "store" in settings["model"]["init_args"]:
        settings["model"]["init_args"]["store"] = None  # a folder of that machine, cut down to its last name
    options = settings["data"]["init_args"]
    if data_root is None and options.get("root") is not None:
        raise UserError(f"the record's videos were in a folder {options['root']} elsewhere; pass yours as --data_root")
    for name, value in (("root", data_root), ("lists", lists)):
        if name in options or value is not None:
            options[name] = None if value is None else str(value)
    if "multiprocessing_context" in options:
        options["multiprocessing_context"] = None  # that machine's
    return settings


def run_test(
    settings: dict[str, Any], checkpoint: Path, run_dir: Path, *more: str, isolate: bool = False
) -> Isolation | None:
    """Run a test of its own in another process, and say how that was kept from the network where it was to be.

    Args:
        settings: The configuration.
        checkpoint: The weights.
        run_dir: A folder that is not there yet; the process works in the one above it where it is isolated.
        more: Further options.
        isolate: Let it have no network, none of the user's caches, and no working folder with anything in it.

    Raises:
        UserError: If it fails, with its last lines.
    """
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    config = run_dir.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(settings), "utf-8")
    words = ["test", "--config", str(config), "--ckpt_path", str(checkpoint.absolute()), "--run_dir", str(run_dir)]
    words += [*more, "--trainer.logger", "false", "--report", "false"]
    command, isolation = isolated(words) if isolate else ([sys.executable, "-m", "benchmark", *words], None)
    environment, folder = {**os.environ, "PYTHONIOENCODING": "utf-8"}, None
    if isolate:
        folder = run_dir.parent
        held = [str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
        environment |= {
            "PYTHONPATH": os.pathsep.join(filter(None, held)), "XDG_CACHE_HOME": str(folder.absolute() / "cache"),
        }  # fmt: skip
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=environment,
        cwd=folder,
        check=False,
    )
    if done.returncode:
        lines = done.stdout.strip().splitlines()[-5:]
        raise UserError(f"the recorded test does not run here; its last lines: {' / '.join(lines)}")
    return isolation


def largest_difference(ledger: Ledger, fresh: Ledger) -> float:
    """Largest difference of a class probability between two ledgers on the videos of the second, 0 to 1.

    It is 1 where a video is not in the first, failed in one of them only, or was scored on other clips.
    """
    if ledger.info != fresh.info:
        return 1.0
    places = {name: place for place, name in enumerate(ledger.video_ids)}
    if not set(fresh.video_ids) <= places.keys():
        return 1.0
    same = ledger.select(np.array([places[name] for name in fresh.video_ids], np.int64))
    for column in ("status", "labels", "clip_starts"):
        if same.table[column].combine_chunks() != fresh.table[column].combine_chunks():
            return 1.0
    differences = np.abs(same.scores - fresh.scores)[fresh.scored]
    return float(differences.max()) if differences.size else 0.0
