"""Random but valid ledgers, records that belong to them, and run folders that hold both."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmark.data.sampling import clip_start
from benchmark.leaderboard.audits import Audit
from benchmark.leaderboard.reproductions import Reproduction
from benchmark.protocol import Protocol
from benchmark.results.clip_scores import FILE_NAME as CLIPS_NAME
from benchmark.results.clip_scores import SPLITS, ClipScores, Said
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import SCHEMA, Ledger, LedgerInfo
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import (
    METHOD,
    Checkpoint,
    Code,
    Hardware,
    LedgerFile,
    Model,
    ProtocolFields,
    Provenance,
    Record,
    Throughput,
    dataset_of,
)
from benchmark.results.summary import summarise

REASON = "it holds no frames"
FRAMES = 150


def draw_labels(seed: int, videos: int, classes: int, *, several: float = 0.2, unlabelled: float = 0.0) -> np.ndarray:
    """(V, K) bool: one label each, a share with two or three, a share without; every class occurs where V allows."""
    rng = np.random.default_rng([seed, 1])
    labels = np.zeros((videos, classes), bool)
    labels[np.arange(videos), rng.permutation(videos) % classes] = True
    for row in np.flatnonzero(rng.random(videos) < several):
        labels[row, rng.integers(0, classes, 2)] = True
    labels[rng.random(videos) < unlabelled] = False
    return labels


def draw_clips(seed: int, labels: np.ndarray, clips: int, *, skill: float = 1.5, ties: bool = False) -> np.ndarray:
    """(V, clips, K) float32 class probabilities of each clip; with `ties` they are multiples of 1/64."""
    rng = np.random.default_rng([seed, 2])
    videos, classes = labels.shape
    logits = rng.normal(size=(videos, 1, classes)) + rng.normal(size=(videos, clips, classes))
    logits += skill * labels[:, None] * rng.normal(1, 1, size=(videos, 1, 1))
    odds = np.exp(logits)
    shares = odds / odds.sum(2, keepdims=True)
    return np.asarray((rng.multinomial(64, shares) / 64 if ties else shares).astype(np.float32))


def best_rank(scores: np.ndarray, true: np.ndarray) -> int:
    """1 + the false labels that score at least as high as the best true one; K + 1 without a true label."""
    if not true.any():
        return len(true) + 1
    best = scores[true].max()
    return 1 + sum(bool(value >= best) for value in scores[~true])


def ledger_of_clips(
    probabilities: np.ndarray,
    labels: np.ndarray,
    *,
    failed: np.ndarray | None = None,
    source_groups: list[str | None] | None = None,
    class_groups: tuple[str, ...] | None = None,
    dataset: str = "Made",
    fold: int | None = 1,
    chosen: tuple[str, ...] | None = None,
    official_videos: int | None = None,
    protocol: Protocol | None = None,
) -> Ledger:
    """A ledger from clip probabilities (V, clips, K) and labels (V, K), with some videos (V,) marked as failed."""
    videos, clips, classes = probabilities.shape
    failed = np.zeros(videos, bool) if failed is None else failed
    used = protocol or Protocol(clips_per_video=clips)
    names = tuple(f"Class{number}" for number in range(classes)) if chosen is None else chosen
    rows = []
    for row in range(videos):
        shared = {
            "video_id": f"v{row:04d}",
            "labels": np.flatnonzero(labels[row]).tolist(),
            "source_group": None if source_groups is None else source_groups[row],
        }
        if failed[row]:
            rows.append({**shared, "status": "failed", "reason": REASON})
            continue
        rows.append(
            {
                **shared,
                "status": "scored",
                "scores": probabilities[row].astype(np.float64).mean(0).astype(np.float32).tolist(),
                "clip_starts": [
                    clip_start(used.sampler_seed, f"v{row:04d}", clip, FRAMES, 16) for clip in range(clips)
                ],
                "clip_ranks": [best_rank(clip, labels[row]) for clip in probabilities[row]],
            }
        )
    info = LedgerInfo(
        dataset=dataset,
        fold=fold,
        classes=chosen,
        fingerprint="0123456789abcdef",
        held_videos=videos,
        official_videos=official_videos,
        class_names=names,
        class_groups=class_groups,
        protocol=used,
    )
    return Ledger(info, pa.Table.from_pylist(rows, SCHEMA))


def make_ledger(
    seed: int = 0,
    *,
    model_seed: int | None = None,
    videos: int = 40,
    classes: int = 6,
    clips: int = 4,
    skill: float = 1.5,
    failed: float = 0.1,
    several: float = 0.2,
    unlabelled: float = 0.0,
    ties: bool = False,
    groups: int = 2,
    videos_per_source: int = 3,
    dataset: str = "Made",
    fold: int | None = 1,
    chosen: tuple[str, ...] | None = None,
    official_videos: int | None = None,
    protocol: Protocol | None = None,
) -> Ledger:
    """A random ledger.

    Args:
        seed: Of labels and source groups; ledgers of the same seed and sizes hold the same videos.
        model_seed: Of scores and failures; `seed` by default. Another one is another model on the same videos.
        videos: V.
        classes: K.
        clips: Clips of each video.
        skill: How well the model does; 0 is chance.
        failed: Share of videos that could not be read.
        several: Share of videos with up to three labels.
        unlabelled: Share of videos without a label.
        ties: Whether clip probabilities are multiples of 1/64, so that many are equal.
        groups: Number of groups of classes; 0 for none.
        videos_per_source: Videos cut from one source; 0 where sources are unknown.
        dataset: Its name.
        fold: Official fold.
        chosen: Names of a class subset, K of them.
        official_videos: Test videos of the official list.
        protocol: By default the usual one with `clips` clips; its number of clips must be `clips`.
    """
    labels = draw_labels(seed, videos, classes, several=several, unlabelled=unlabelled)
    model_seed = seed if model_seed is None else model_seed
    return ledger_of_clips(
        draw_clips(model_seed, labels, clips, skill=skill, ties=ties),
        labels,
        failed=np.random.default_rng([model_seed, 3]).random(videos) < failed,
        source_groups=[f"g{row // videos_per_source:03d}" for row in range(videos)] if videos_per_source else None,
        class_groups=tuple(f"Group {number % groups}" for number in range(classes)) if groups else None,
        dataset=dataset,
        fold=fold,
        chosen=chosen,
        official_videos=official_videos,
        protocol=protocol,
    )


def make_record(
    ledger: Ledger,
    *,
    name: str = "Made model",
    ledger_sha256: str = "0" * 64,
    clips_per_second: float | None = 100.0,
    gflop_per_clip: float | None = 1.5,
    parameters: int = 1000,
    provenance: Provenance = "clean",
    url: str | None = None,
) -> Record:
    """A record that says of a ledger what is true."""
    metrics, decoded = summarise(ledger)
    return Record(
        name=name,
        created=datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        dataset=dataset_of(ledger.info),
        protocol=ProtocolFields.model_validate(ledger.info.protocol, from_attributes=True),
        protocol_hash=ledger.info.protocol.hash,
        metrics=metrics,
        decoded_only=decoded,
        intervals=METHOD,
        videos=len(ledger),
        failed_videos=ledger.failures(),
        model=Model(
            class_path="benchmark.models.SingleFrame",
            options={"resolution": "multires", "width": 1.0},
            parameters=parameters,
            gflop_per_clip=gflop_per_clip,
            frame_offsets=(8,),
            input_side=178,
        ),
        checkpoint=Checkpoint(sha256="1" * 64, provenance=provenance),
        code=Code(version="0.1.0", commit=None, modified=None),
        hardware=Hardware(processor="Made CPU", cores=2, gpu=None, processes=1),
        precision="32-true",
        seed=0,
        libraries={"torch": "2.9.0"},
        throughput=Throughput(clips_per_second=clips_per_second, compute_clips_per_second=clips_per_second),
        config={"seed_everything": 0},
        ledger=LedgerFile(file=LEDGER_NAME, sha256=ledger_sha256, url=url),
    )


def make_clips(probabilities: np.ndarray, ledger: Ledger, validation: np.ndarray | None = None) -> ClipScores:
    """What was said of the clips (V, clips, K) of a ledger's videos, and of validation videos of one label each.

    Args:
        probabilities: Those that the ledger was made of.
        ledger: Its videos.
        validation: (N, clips, K) of others, the labels of which are 0, 1, ..., K - 1, 0, ...
    """
    rows = np.flatnonzero(ledger.scored)
    said = {"test": Said([ledger.video_ids[row] for row in rows], ledger.labels[rows], probabilities[rows])}
    if validation is not None:
        labels = np.arange(validation.shape[2]) == (np.arange(len(validation)) % validation.shape[2])[:, None]
        said["validation"] = Said([f"w{row:04d}" for row in range(len(validation))], labels, validation)
    return ClipScores.of(ledger.info.class_names, {split: said[split] for split in SPLITS if split in said})


def write_run(
    folder: Path,
    ledger: Ledger,
    *,
    name: str = "Made model",
    provenance: Provenance = "clean",
    clips: ClipScores | None = None,
) -> Record:
    """Leave a ledger, its record and where given its clips in a folder, as a test does; returns the record."""
    record = make_record(ledger, name=name, ledger_sha256=ledger.write(folder / LEDGER_NAME), provenance=provenance)
    if clips is not None:
        kept = LedgerFile(file=CLIPS_NAME, sha256=clips.write(folder / CLIPS_NAME))
        record = record.model_copy(update={"clips": kept})
    record.write(folder / RECORD_NAME)
    return record


def make_reproduction(record: Record, **change: Any) -> Reproduction:
    """What came out when all videos of a record were scored again, changed where asked for."""
    facts = {
        "ledger_sha256": record.ledger.sha256,
        "checkpoint_sha256": record.checkpoint.sha256,
        "videos": record.videos,
        "seed": 1,
        "largest_difference": 0.001,
        "allowed_difference": 0.01,
        "created": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        "code": "0.1.0",
        "by": "Ann",
    }
    return Reproduction.model_validate({**facts, **change})


def make_audit(record: Record, **change: Any) -> Audit:
    """What came out when all videos of a record were audited, changed where asked for."""
    facts = make_reproduction(record).model_dump() | {
        "isolation": "a network namespace of its own",
        "copies": record.videos,
        "right": record.videos // 2,
        "lost": 1,
        "gained": 1,
        "repeats": 16,
        "largest_change": 0.0001,
        "batch_sizes": (32, 60),
    }
    return Audit.model_validate({**facts, **change})
