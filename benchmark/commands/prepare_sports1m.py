"""Sports-1M at its size: its videos fetched and prepared as a store of clips, or a sample of them asked for."""

import contextlib
import csv
import dataclasses
import hashlib
import math
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa

from benchmark.commands.text import aligned
from benchmark.data.clips_per_video import ClipsPerVideo
from benchmark.data.sports1m_lists import listed_videos
from benchmark.errors import UserError
from benchmark.files import whole
from benchmark.results.influence import of_share
from benchmark.results.statistics import interval
from benchmark.scale.engines import engine_of
from benchmark.scale.fetching import Fetcher, Outcome, Pace, source_of
from benchmark.scale.manifest import Manifest, State
from benchmark.scale.pictures import Format
from benchmark.scale.preparing import Preparing, dealt, probe
from benchmark.scale.settings import VIDEOS_FILE, StoreSettings
from benchmark.scale.sources import FolderSource
from benchmark.scale.store import Store

_REASONS_SHOWN = 5
_DAY_S = 86_400
COVERAGE_FILE = "coverage.csv"


@dataclasses.dataclass(frozen=True)
class SourceOptions:
    """How videos are fetched.

    Args:
        cookies: File of cookies for yt-dlp, as browsers export them.
        longest_minutes: Longer videos are left out, where the source says how long they are.
        per_second: Most requests a second; 0 sets no limit.
        tries: How often a request is made that fails for a reason that may pass.
        threads: Videos fetched at the same time.
        timeout_seconds: After so long without a byte a try has failed.
    """

    cookies: Path | None = None
    longest_minutes: float = 60.0
    per_second: float = 2.0
    tries: int = 5
    threads: int = 4
    timeout_seconds: float = 60.0

    def __post_init__(self) -> None:
        if not (0 <= self.per_second < math.inf and self.tries >= 1 and self.threads >= 1):
            raise UserError(
                f"per_second is {self.per_second}, tries {self.tries} and threads {self.threads}; the first must be a "
                "number of 0 or more, the others 1 or more"
            )
        if not (0 < self.timeout_seconds <= _DAY_S and 0 < self.longest_minutes < math.inf):
            raise UserError(
                f"timeout_seconds is {self.timeout_seconds} and longest_minutes {self.longest_minutes}; both must be "
                f"numbers above 0, the first {_DAY_S:,} at most"
            )


@dataclasses.dataclass(frozen=True)
class StoreOptions:
    """What a store is made of; the same for every command that adds to it.

    Args:
        format: How frames are kept: `exact`, the pixels of the files, or `compact`, a ninth of the bytes, by H.264,
            which is another protocol.
        videos: Take a random sample of so many listed videos; null takes all.
        train_clips: Clips kept of each training video (section 4: 100).
        validation_clips: Clips kept of each validation video.
        test_clips: Clips kept of each test video (section 4: 20).
        sampler_seed: Seed of the clip positions; part of the protocol.
        videos_per_shard: Listed videos that share a shard.
    """

    format: Format = "exact"
    videos: int | None = None
    train_clips: int = 100
    validation_clips: int = 4
    test_clips: int = 20
    sampler_seed: int = 2014
    videos_per_shard: int = 256

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self)[1:]:
            value, least = getattr(self, field.name), int(field.name != "sampler_seed")
            if value is not None and value < least:
                raise UserError(f"--{field.name} is {value}; it must be {least} or more")

    @property
    def clips(self) -> ClipsPerVideo:
        """Clips kept of each video, by its split."""
        return ClipsPerVideo(self.train_clips, 1, self.validation_clips, self.test_clips)


GROUPS = (StoreOptions, SourceOptions)
"""Options that are typed without a prefix."""


def grouped(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `run`, of options as they are typed."""
    parts = {
        name: kind(**{field.name: given.pop(field.name) for field in dataclasses.fields(kind)})
        for name, kind in zip(("made", "fetch"), GROUPS, strict=True)
    }
    return {**given, **parts}


def run(
    check: Callable[[Path, Path | None], int],
    root: Path | None = None,
    lists: Path | None = None,
    source: str | None = None,
    store: str | None = None,
    probe: int | None = None,
    probe_seed: int = 0,
    work: Path = Path("sports1m-work"),
    made: StoreOptions = StoreOptions(),
    workers: int | None = None,
    ray: str | None = None,
    give_up: bool = False,
    fetch: SourceOptions = SourceOptions(),
) -> int:
    """Check the videos of a folder against the official lists, ask which are alive, or fetch and prepare them as clips.

    Args:
        check: Checks a folder.
        root: Folder of videos to check, flat or in folders named after the first two letters of the id.
        lists: Folder of the official lists and labels.txt; by default the root.
        source: Where videos are fetched from: a folder, an http(s) address, with {id} or before /ID.mp4, or yt-dlp.
        store: Folder or s3:// address where prepared clips go; the same command again goes on where it stopped.
        probe: Ask the source for a random sample of so many listed videos, and say what share is alive.
        probe_seed: Seed of that draw.
        work: Folder of the job's manifest and of videos that are fetched and not yet prepared.
        made: What the store is made of.
        workers: Processes that decode; null takes one a processor.
        ray: Address of a Ray cluster that decodes in their place, such as `auto`; its machines see --work and --store.
        give_up: Count videos that could not be fetched in several tries as dead.
        fetch: How videos are fetched.

    Returns:
        0 if there are videos to train and to test on, else 1.

    Raises:
        UserError: If options are missing or do not go together, or a list is malformed.
    """
    if source is None and store is None and probe is None:
        if root is None:
            raise UserError("prepare sports1m needs --root, a folder to check, or --source with --store or --probe")
        return check(root, lists)
    if root is not None or source is None or lists is None or (store is None) == (probe is None):
        raise UserError(
            "--store and --probe each need --lists and --source, and neither --root nor each other; "
            "give for example --lists DIR --source yt-dlp --probe 1000"
        )
    if probe is not None:
        return probed(lists, source, probe, probe_seed, fetch)
    return prepared(
        lists, source, str(store), work=work, made=made, workers=workers, ray=ray, give_up=give_up, options=fetch
    )


def fetcher_of(source: str, options: SourceOptions, into: Path) -> Fetcher:
    """What fetches from a source, at the pace that was asked for.

    Raises:
        UserError: If the source cannot be used.
    """
    found = source_of(
        source, cookies=options.cookies, longest_minutes=options.longest_minutes, timeout_s=options.timeout_seconds
    )
    # A folder on this machine needs no pace.
    pace = Pace(0 if Path(source).is_dir() else options.per_second, say=lambda text: print(text, flush=True))
    return Fetcher(found, into.absolute(), pace, options.tries)


def probed(lists: Path, source: str, sample: int, seed: int, options: SourceOptions) -> int:
    """Ask for a random sample of the listed videos, and say what share of all is alive.

    Args:
        lists: Folder of the lists.
        source: Where videos come from.
        sample: How many are asked for.
        seed: Of the draw.
        options: How they are asked for.

    Returns:
        0, or 1 if none could be settled.

    Raises:
        UserError: If a list is malformed, or the source cannot be used.
    """
    table = listed_videos(lists)[1]
    if not 1 <= sample <= len(table):
        raise UserError(f"--probe is {sample}; it must be from 1 to {len(table):,}, the number of listed videos")
    rows = np.sort(np.random.default_rng([seed, 3]).choice(len(table), sample, replace=False))
    names = table["video_id"].take(pa.array(rows)).to_pylist()
    outcomes = probe(fetcher_of(source, options, Path()), names, options.threads)
    counts = Counter(outcome.state for outcome in outcomes.values())
    unsettled = counts.pop("wanted", 0)
    alive, settled = counts.get("fetched", 0), sum(counts.values())
    if not settled:
        print(f"none of {sample:,} videos could be asked for; {_why(outcomes)}")
        return 1
    hits = np.array([outcome.state == "fetched" for outcome in outcomes.values() if outcome.state != "wanted"], float)
    low, high = interval(alive / settled, of_share(hits, np.ones(settled), np.arange(settled)))
    bounds = "" if np.isnan(low) else f" (95% interval {low:.1%} to {high:.1%})"
    print(f"alive: {alive / settled:.1%}{bounds} of {settled:,} videos drawn from {len(table):,}")
    for state, count in counts.most_common():
        if state != "fetched":
            print(f"  {state}: {count:,} ({count / settled:.1%})")
    if unsettled:
        print(f"  {unsettled:,} more could not be asked for and do not count; {_why(outcomes)}")
    return 0


def _why(outcomes: dict[str, Outcome]) -> str:
    said = Counter(outcome.reason for outcome in outcomes.values() if outcome.state == "wanted")
    return "; ".join(f"{count:,} times {reason}" for reason, count in said.most_common(_REASONS_SHOWN))


def prepared(
    lists: Path,
    source: str,
    store: str,
    *,
    work: Path,
    made: StoreOptions,
    workers: int | None,
    ray: str | None,
    give_up: bool,
    options: SourceOptions,
) -> int:
    """Fetch the videos of the lists and leave their clips in a store; the same command goes on where it stopped.

    Args:
        lists: Folder of the lists.
        source: Where videos come from.
        store: Where the clips go.
        work: Folder of manifest and fetched videos; where a cluster works, one that all its machines see.
        made: What the store is made of.
        workers: Processes that decode; None takes one a processor.
        ray: Address of a Ray cluster that decodes in their place.
        give_up: Whether videos that could not be fetched in several tries count as dead.
        options: How they are fetched.

    Returns:
        0, or 1 if videos could not be fetched for now, or there are none to train and test on.

    Raises:
        UserError: If a list is malformed, source or store cannot be used, or they are of another job.
    """
    class_names, table = listed_videos(lists)
    if workers is not None and workers < 1:
        raise UserError(f"--workers is {workers}; it must be 1 or more")
    listed = dealt(table).slice(0, made.videos).combine_chunks()
    settings = StoreSettings(
        made.format, made.clips, made.sampler_seed, made.videos_per_shard, class_names, _digest(listed), len(table)
    )
    place, into = Store(store), work / "videos"
    fetcher = fetcher_of(source, options, into)
    about = {"lists": settings.listed, "videos per shard": str(made.videos_per_shard), "store": place.place}
    with Manifest(work / "manifest.sqlite") as manifest:
        manifest.require_settings(about, note=False)
        _require_some(fetcher, manifest, listed)
        engine = engine_of(workers or os.cpu_count() or 1, ray)
        with contextlib.closing(engine):
            # All that may be refused comes first: a command that did nothing does not bind --work to its options.
            settings.write(place)
            manifest.require_settings(about)
            job = Preparing(
                listed, settings, place, manifest, fetcher, engine, options.threads, give_up,
                say=lambda text: print(text, flush=True),
            )  # fmt: skip
            unsettled = job.run()
        states = _coverage(listed, class_names, manifest, work / COVERAGE_FILE)
    print(f"coverage by class and state: {work / COVERAGE_FILE}")
    if unsettled:
        print(
            f"{unsettled:,} videos could not be fetched for now, so their shards are not made; run the same command "
            "again, or with --give_up true to count them as dead"
        )
        return 1
    shutil.rmtree(into, ignore_errors=True)
    lacking = [split for split in ("train", "test") if not states[split, "fetched"]]
    if lacking:
        print(
            f"every video is settled, and none can be used to {' or to '.join(lacking)}, so there is nothing to fit; "
            f"the column reason of {place}/{VIDEOS_FILE} says why. Another --work with the same --store asks again "
            "for the videos that are not in it"
        )
        return 1
    print(f"the store is complete: fit --data sports1m_shards --data.store {place}")
    return 0


def _require_some(fetcher: Fetcher, manifest: Manifest, listed: pa.Table) -> None:
    """Refuse a folder without a single listed video: it is a wrong one, and would settle all of them as dead."""
    states = manifest.counts()
    is_over = any(states.values()) and not states["wanted"]
    source = fetcher.source
    if isinstance(source, FolderSource) and not is_over and not source.holds_any({*listed["video_id"].to_pylist()}):
        raise UserError(
            f"--source is {source.root}, which holds none of the {len(listed):,} wanted videos; name a folder of files "
            "ID.mp4, or of folders named after the first two letters of the id"
        )


def _digest(listed: pa.Table) -> str:
    digest = hashlib.sha256()
    for name in ("video_id", "labels", "split"):
        for value in (listed[name].cast(pa.string()) if name == "split" else listed[name]).to_pylist():
            digest.update(f"{value}\n".encode())
    return digest.hexdigest()[:16]


def _coverage(
    listed: pa.Table, class_names: tuple[str, ...], manifest: Manifest, file: Path
) -> Counter[tuple[str, State]]:
    """Write how many videos of each class came to each state, and show it for the splits."""
    classes: Counter[tuple[int, State]] = Counter()
    splits: Counter[tuple[str, State]] = Counter()
    rows = zip(
        manifest.entries(), listed["labels"].to_pylist(), listed["split"].cast(pa.string()).to_pylist(), strict=True
    )
    for entry, labels, split in rows:
        splits[split, entry.state] += 1
        classes.update((label, entry.state) for label in labels)
    states = get_args(State)
    with whole(file) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as sink:
        table = csv.writer(sink)
        table.writerow(["class", *states])
        table.writerows([name, *(classes[k, state] for state in states)] for k, name in enumerate(class_names))
    shown = [state for state in states if any(splits[split, state] for split in ("train", "validation", "test"))]
    lines = [[split, *(f"{splits[split, state]:,}" for state in shown)] for split in ("train", "validation", "test")]
    print(aligned(["videos", *shown], lines))
    return splits
