"""Scores random videos of an entry again from their files: the only proof that a ledger came from its checkpoint."""

import datetime
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml

import benchmark
from benchmark.errors import UserError
from benchmark.results.entries import Reproduction, ledger_path
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import Ledger, file_hash
from benchmark.results.record import Record


def reproduce_entry(
    folder: Path,
    checkpoint: Path,
    videos: int,
    data_root: Path | None,
    lists: Path | None,
    allowed_difference: float,
) -> Reproduction:
    """Run the recorded test on some of its videos and compare the scores.

    Args:
        folder: Of the record and ledger.
        checkpoint: The weights.
        videos: How many to score, drawn at random; nobody can know which ones beforehand.
        data_root: Folder of the videos, or None for the recorded one.
        lists: Folder of the official lists, or None for the recorded one.
        allowed_difference: Noted in the result.

    Raises:
        UserError: If the checkpoint is not the recorded one, the ledger is not at hand, or the test fails.
    """
    record = Record.read(folder)
    path = ledger_path(folder, record)
    if path is None or file_hash(path) != record.ledger.sha256:
        raise UserError(f"{folder} holds no ledger, or not the one that its record is about")
    if not checkpoint.is_file() or (found := file_hash(checkpoint)) != record.checkpoint.sha256:
        held = found if checkpoint.is_file() else "missing"
        raise UserError(
            f"--ckpt_path {checkpoint} is not the checkpoint of this record: its SHA-256 is {held}, and the record's "
            f"is {record.checkpoint.sha256}"
        )
    seed = secrets.randbelow(2**31)
    with tempfile.TemporaryDirectory() as scratch:
        fresh = _test_again(record, checkpoint, videos, seed, data_root, lists, Path(scratch))
    ledger = Ledger.read(path)
    return Reproduction(
        ledger_sha256=record.ledger.sha256,
        checkpoint_sha256=record.checkpoint.sha256,
        videos=len(fresh),
        all_videos=set(fresh.video_ids) == set(ledger.video_ids),
        seed=seed,
        largest_difference=largest_difference(ledger, fresh),
        allowed_difference=allowed_difference,
        created=datetime.datetime.now(datetime.UTC),
        code=benchmark.__version__,
    )


def _test_again(
    record: Record, checkpoint: Path, videos: int, seed: int, data_root: Path | None, lists: Path | None, scratch: Path
) -> Ledger:
    config = scratch / "config.yaml"
    settings = {name: value for name, value in record.config.items() if name not in {"run_dir", "ckpt_path"}}
    options = settings.get("data", {}).get("init_args", {})
    for name, value in (("root", data_root), ("lists", lists)):
        if value is not None:
            options[name] = str(value)
    config.write_text(yaml.safe_dump(settings), "utf-8")
    run_dir = scratch / "run"
    command = [sys.executable, "-m", "benchmark", "test", "--config", str(config), "--ckpt_path", str(checkpoint)]
    command += ["--run_dir", str(run_dir), "--sample.videos", str(videos), "--sample.seed", str(seed)]
    command += ["--allow_contaminated", "true", "--trainer.logger", "false"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        lines = done.stdout.strip().splitlines()[-5:]
        raise UserError(f"the recorded test does not run here; its last lines: {' / '.join(lines)}")
    return Ledger.read(run_dir / LEDGER_NAME)


def largest_difference(ledger: Ledger, fresh: Ledger) -> float:
    """Largest difference of a class probability between two ledgers on the videos of the second, 0 to 1.

    It is 1 where a video is not in the first, failed in one of them only, or was scored on other clips.
    """
    if ledger.info.protocol != fresh.info.protocol or ledger.info.class_names != fresh.info.class_names:
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
