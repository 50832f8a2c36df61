"""Tests two trained networks on growing random sets of sources, until more would not change what can be said."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from benchmark.commands.chosen_data import data_of
from benchmark.commands.reproduction import run_test
from benchmark.data.datamodule import VideoDataModule
from benchmark.errors import UserError, printable
from benchmark.files import file_hash
from benchmark.metrics.arrays import ranks
from benchmark.results.ledger import FILE_NAME as LEDGER_NAME
from benchmark.results.ledger import Ledger
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import Record, differences
from benchmark.results.sequential import LEVEL, stop
from benchmark.wording import counted

_FIRST, _GROWTH = 12, 1.25  # sources at the first look, and how many more at each later one


def compare_until(first: Path, second: Path, points: float, out: Path, seed: int, of_list: bool) -> int:
    """Test two fits until they are told apart or the same within a margin; a run that was stopped goes on.

    Args:
        first: Run folder of a fit.
        second: Another one, of the same data.
        points: Margin, points of video Hit@1.
        out: Folder of the tests.
        seed: Of the order in which sources are drawn.
        of_list: Decide what this test list would show, and not what endless sources like its own would.

    Returns:
        0.

    Raises:
        UserError: If a folder is none of a fit, the two are of other data, or a test fails.
    """
    runs = [_settings(folder) for folder in (first, second)]
    data = data_of(runs[0][0])
    other = data_of(runs[1][0])
    if (data.index.identity, data.index.fingerprint) != (other.index.identity, other.index.fingerprint):
        raise UserError(f"{first} is about {data.index.identity} and {second} about {other.index.identity}")
    hashes = [file_hash(checkpoint) for _, checkpoint in runs]
    sources = _sources(data)
    order = np.random.default_rng(seed).permutation(len(sources))
    sizes = np.array([len(each) for each in sources])
    looks = _looks(len(sources))
    found = np.empty(0)
    done = 0
    for look in looks:
        names = [sources[n] for n in order[done:look]]
        hits = [
            _hits(*run, hashed, out / place, [name for part in names for name in part], look)
            for place, run, hashed in zip(("first", "second"), runs, hashes, strict=True)
        ]
        if not done:
            _require_comparable(out, look)
        more = [sum(hits[0][name] - hits[1][name] for name in part) / sizes.mean() for part in names]
        found, done = np.concatenate([found, more]), look
        scored = int(sizes[order[:look]].sum())
        share = 1 - scored / sizes.sum()
        print(
            f"{look:,} of {len(sources):,} sources, {counted(scored, 'video')}: difference "
            f"{100 * found.sum() * sizes.mean() / scored:+.1f} points of video Hit@1",
            flush=True,
        )
        bound = float(sizes.max() / sizes.mean())
        population = len(sources) if of_list else None
        ended = stop(found, bound, population, points / 100, np.array([size for size in looks if size <= look]))
        if ended is not None:
            verdict = f"the same within {points:g} points" if ended.verdict == "the same" else ended.verdict
            where = f"on these {len(sources):,} sources" if of_list else "on sources like these"
            saved = f"{share:.0%} of the clips were not needed"
            print(f"{verdict} {where} (error rate {LEVEL:.0%} over all looks); {saved}")
            return 0
    print(
        f"all {len(sources):,} sources were scored: neither told apart nor shown to be the same within {points:g} "
        "points, which does not mean equal; it takes more sources, or a larger margin"
    )
    return 0


def _settings(folder: Path) -> tuple[dict[str, Any], Path]:
    """Configuration and best weights of a fit."""
    places = [folder / "checkpoints" / f"{name}.ckpt" for name in ("best", "last")]
    checkpoint = next((path for path in places if path.is_file()), None)
    try:
        settings = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        settings = None
    if checkpoint is None or not isinstance(settings, dict) or "data" not in settings:
        raise UserError(f"{folder} is no run folder of a fit, with config.yaml and checkpoints; --until tests two fits")
    return {name: settings[name] for name in ("model", "data", "trainer") if name in settings}, checkpoint


def _sources(data: VideoDataModule) -> list[list[str]]:
    """Names of the test videos of each source; a video of no known source is one."""
    part = data.index.table.take(pa.array(data.index.rows("test")))
    found: dict[str, list[str]] = {}
    for name, source in zip(part["video_id"].to_pylist(), part["source_group"].to_pylist(), strict=True):
        found.setdefault(f"video {name}" if source is None else f"source {source}", []).append(name)
    return [found[key] for key in sorted(found)]


def _looks(sources: int) -> list[int]:
    looks, size = [], float(_FIRST)
    while size < sources:
        looks.append(int(size))
        size = max(size * _GROWTH, size + 1)
    return [*looks, sources]


def _require_comparable(out: Path, look: int) -> None:
    """Refuse two tests of other clips or views, as `compare` does."""
    first, second = (Ledger.read(out / place / f"{look:06d}" / LEDGER_NAME) for place in ("first", "second"))
    if reasons := differences(first.info, second.info):
        raise UserError(f"the two cannot be compared: {printable('; '.join(reasons))}")


def _hits(
    settings: dict[str, Any], checkpoint: Path, hashed: str, folder: Path, names: list[str], look: int
) -> dict[str, float]:
    """Whether each of these videos is called right, 1 or 0; tested where that has not been done yet."""
    run = folder / f"{look:06d}"
    if not (run / RECORD_NAME).is_file():
        listed = folder / f"{look:06d}.txt"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text("\n".join(names) + "\n", "utf-8")
        run_test(settings, checkpoint, run, "--sample.list", str(listed), "--keep_clips", "false")
    if Record.read(run).checkpoint.sha256 != hashed:
        raise UserError(f"{printable(str(run))} is of other weights than {checkpoint}; name another folder as --out")
    ledger = Ledger.read(run / LEDGER_NAME)
    if set(ledger.video_ids) != set(names):
        raise UserError(f"{printable(str(run))} holds a test of other videos; name another folder as --out")
    return dict(zip(ledger.video_ids, (ranks(ledger.scores, ledger.labels) == 1).astype(float).tolist(), strict=True))
