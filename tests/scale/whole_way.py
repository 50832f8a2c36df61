"""From lists to a test's record: fetch, prepare, audit, stream, fit, test; once undisturbed, once killed many times.

    python -m tests.scale.whole_way --videos FOLDER [FOLDER ...] --out FOLDER --ids 1000 --kills 10

Each folder has one folder of videos a class. Some ids get several of them joined, some nothing, some damaged files.
A local server gives them slowly, not at all, cut short, or asks to be left alone. Both ways must leave the same shards,
the same ledger and the same record.
"""

import argparse
import contextlib
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from tests.generators.video_site import VideoSite, video_site

FIT = (
    *("--config", "single_frame", "--model.width", "0.1", "--trainer.max_epochs", "1", "--trainer.logger", "false"),
    *("--data.clips_per_video.train", "4", "--data.clips_per_video.train_epoch", "2"),
    *("--data.clips_per_video.validation", "2", "--data.clips_per_video.test", "4", "--data.batch_size", "8"),
)
"""Options of fit and test: small, so that what is tried is the way and not the network."""

_LOOK_S = 0.05
_OF_A_RUN = ("created", "throughput", "checkpoint", "config", "hardware", "ledger_sha256")


class Plan(NamedTuple):
    """How much of everything.

    Attributes:
        ids: Listed videos.
        joined: Of these, made of several videos.
        dead: Of these, without a file.
        broken: Of these, with a damaged file.
        kills: Of the second way.
        options: Of `prepare`.
        fit: Of fit and test.
    """

    ids: int
    joined: int
    dead: int
    broken: int
    kills: int
    options: tuple[str, ...]
    fit: tuple[str, ...]


def make_set(
    videos: dict[str, list[Path]], plan: Plan, out: Path, join: Callable[[Sequence[Path], Path], None]
) -> None:
    """Lists, and a site's folder of videos for most of the ids."""
    draw = random.Random(1)
    lists, site = out / "lists", out / "site"
    lists.mkdir(parents=True, exist_ok=True)
    site.mkdir(exist_ok=True)
    classes = sorted(videos)
    (lists / "labels.txt").write_text("".join(f"{name}\n" for name in classes), "utf-8")
    pool = [(path, k) for k, name in enumerate(classes) for path in videos[name]]
    draw.shuffle(pool)
    lines: list[str] = []
    for number in range(plan.ids):
        path, label = pool[number % len(pool)]
        video_id = f"{hashlib.sha256(str(number).encode()).hexdigest()[:10]}_"
        lines.append(f"https://www.youtube.com/watch?v={video_id} {label}\n")
        target = site / f"{video_id}.mp4"
        kind = number % plan.ids
        if kind < plan.dead or target.exists():
            continue
        if kind < plan.dead + plan.joined:
            join(draw.choices(videos[classes[label]], k=min(30, 2 * len(videos[classes[label]]))), target)
        elif kind < plan.dead + plan.joined + plan.broken:
            content = path.read_bytes()
            target.write_bytes(content[: len(content) // 3] if number % 2 else b"no video" * 500)
        else:
            shutil.copyfile(path, target)
    draw.shuffle(lines)
    tests = len(lines) // 5
    (lists / "test_partition.txt").write_text("".join(lines[:tests]), "utf-8")
    (lists / "train_partition.txt").write_text("".join(lines[tests:]), "utf-8")


def trouble(site: VideoSite) -> None:
    """What the site does to anyone who comes."""
    names = sorted(file.stem for file in site.folder.iterdir())
    faults: list[str | int] = ["truncated", 500]
    site.passing = {name: faults[: 1 + number % 2] for number, name in enumerate(names[::9])}
    site.busy = ["1"]


def command(verb: str, *words: object) -> list[str]:
    return [sys.executable, "-m", "benchmark", verb, *map(str, words)]


class Way:
    """One way through all verbs.

    Args:
        folder: Where everything goes.
        lists: The lists.
        address: Of the site.
        plan: How much.
        kills: How often something is killed.
    """

    def __init__(self, folder: Path, lists: Path, address: str, plan: Plan, kills: int) -> None:
        self.folder, self.lists, self.address, self.plan = folder, lists, address, plan
        self.kills, self.killed = kills, dict[str, int]()
        self.seconds = dict[str, float]()
        self._draw = random.Random(2)
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def data(self) -> list[object]:
        return ["--data", "sports1m_shards", "--data.store", self.folder / "store"]

    def prepare(self, kills: int) -> None:
        words = command(
            "prepare", "sports1m", "--lists", self.lists, "--source", self.address, "--store", self.folder / "store",
            "--work", self.folder / "work", "--per_second", 0, *self.plan.options,
        )  # fmt: skip
        shards = self.folder / "store" / "shards"
        self.run("prepare", words, kills, lambda: len(list(shards.glob("*.parquet"))) if shards.exists() else 0)

    def audit(self) -> None:
        self.run("audit", command("audit", *self.data, "--output", self.folder / "audit.csv"), 0, lambda: 0)

    def fit(self, kills: int) -> None:
        run = self.folder / "fit"
        last = run / "checkpoints" / "last.ckpt"
        words = command("fit", *self.plan.fit[:2], *self.data, *self.plan.fit[2:], "--run_dir", run,
                        "--checkpoint.minutes", 0.02)  # fmt: skip

        def again() -> list[str]:
            if last.exists():
                return [*words, "--ckpt_path", "last"]
            shutil.rmtree(run, ignore_errors=True)
            return words

        self.run("fit", again, kills, lambda: last.stat().st_mtime_ns if last.exists() else 0)

    def test(self, kills: int) -> None:
        run = self.folder / "test"
        words = command("test", *self.plan.fit[:2], *self.data, *self.plan.fit[2:], "--run_dir", run,
                        "--ckpt_path", self.folder / "fit" / "checkpoints" / "last.ckpt")  # fmt: skip
        self.run("test", words, kills, lambda: len(list(run.rglob("*"))) if run.exists() else 0)

    def run(
        self, name: str, words: list[str] | Callable[[], list[str]], kills: int, progress: Callable[[], int]
    ) -> None:
        """Run a verb to its end; before, kill it as often as asked, each time a little after it got further."""
        begun = time.monotonic()
        done = 0
        while True:
            given = words() if callable(words) else words
            with (self.folder / f"{name}.log").open("ab") as log:
                started = subprocess.Popen(given, stdout=log, stderr=subprocess.STDOUT)
                before = progress()
                while started.poll() is None:
                    if done < kills and progress() != before:
                        time.sleep(self._draw.random() * 0.5)
                        started.send_signal(signal.SIGKILL)
                        started.wait()
                        break
                    time.sleep(_LOOK_S)
            if started.returncode == -signal.SIGKILL and done < kills:
                done += 1
                continue
            if started.returncode:
                raise RuntimeError(f"{name} failed, see {self.folder / name}.log")
            break
        self.killed[name], self.seconds[name] = done, time.monotonic() - begun
        print(f"{self.folder.name}: {name} in {self.seconds[name]:.0f} s, killed {done} times", flush=True)

    def go(self) -> None:
        """All verbs."""
        self.prepare(self.kills * 5 // 10)
        self.audit()
        self.fit(self.kills * 4 // 10)
        self.test(self.kills - self.kills * 5 // 10 - self.kills * 4 // 10)


def differences(one: Path, other: Path) -> Iterator[str]:
    """What two ways did not leave alike."""

    def shards(folder: Path) -> dict[str, str]:
        found = [file for file in sorted((folder / "store").rglob("*")) if file.is_file()]
        return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in found}

    if shards(one) != shards(other):
        yield "stores"
    if (one / "audit.csv").read_bytes() != (other / "audit.csv").read_bytes():
        yield "audits"
    if not pq.read_table(one / "test" / "ledger.parquet").equals(pq.read_table(other / "test" / "ledger.parquet")):
        yield "ledgers"
    records: list[dict[str, Any]] = [
        json.loads((way / "test" / "record.json").read_text("utf-8")) for way in (one, other)
    ]
    for name in records[0].keys() | records[1].keys():
        if name not in _OF_A_RUN and records[0].get(name) != records[1].get(name):
            yield f"records: {name}"


def both_ways(
    videos: dict[str, list[Path]], plan: Plan, out: Path, join: Callable[[Sequence[Path], Path], None]
) -> tuple[Way, Way]:
    """Go both ways, and raise if they do not leave the same."""
    make_set(videos, plan, out, join)
    ways = []
    for name, kills in (("undisturbed", 0), ("killed", plan.kills)):
        with video_site(out / "site") as site:
            trouble(site)
            way = Way(out / name, out / "lists", site.address, plan, kills)
            way.go()
            ways.append(way)
    found = list(differences(out / "undisturbed", out / "killed"))
    if found:
        raise AssertionError(f"the two ways differ in {', '.join(found)}")
    return ways[0], ways[1]


def joined_by_ffmpeg(paths: Sequence[Path], target: Path) -> None:
    """One video of several, as long as all of them; of one source, so that they have one rate."""
    source = (paths[0].suffix, paths[0].stem.rpartition("_")[0])
    alike = [path for path in paths if (path.suffix, path.stem.rpartition("_")[0]) == source]
    paths = [alike[number % len(alike)] for number in range(len(paths))]
    listed = target.with_suffix(".txt")
    listed.write_text("".join(f"file '{path.absolute()}'\n" for path in paths), "utf-8")
    subprocess.run(
        ["ffmpeg", "-v", "quiet", "-y", "-f", "concat", "-safe", "0", "-i", listed, "-an", "-c", "copy", target],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    listed.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ids", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=10)
    given = parser.parse_args()
    videos: dict[str, list[Path]] = {}
    for folder in given.videos:
        for path in sorted(folder.glob("*/*.*")):
            videos.setdefault(path.parent.name, []).append(path)
    few = "--train_clips 4 --validation_clips 2 --test_clips 4 --videos_per_shard 64 --workers 2".split()
    plan = Plan(given.ids, given.ids // 80, given.ids // 20, given.ids // 30, given.kills, (*few,), FIT)
    one, other = both_ways(videos, plan, given.out, joined_by_ffmpeg)
    print(
        f"the same store, audit, ledger and record; killed {other.killed}; undisturbed {one.seconds}; "
        f"killed {other.seconds}"
    )


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
