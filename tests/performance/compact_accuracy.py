"""What the `compact` format of a store does to accuracy: networks trained and tested on it and on the `exact` one.

python -m tests.performance.compact_accuracy --videos UCF101 --lists UCF101-LISTS --out FOLDER --classes Archery Diving

The videos of some classes of UCF-101 take the place of Sports-1M's, by the first official fold. Differences are paired
by video, and their intervals go over UCF-101's source groups.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.results.ledger import Ledger
from benchmark.results.statistics import Paired

_CLIPS = ("--train_clips", "8", "--validation_clips", "4", "--test_clips", "5", "--videos_per_shard", "64")
_DATA = (
    *("--data.clips_per_video.train", "8", "--data.clips_per_video.train_epoch", "2"),
    *("--data.clips_per_video.validation", "4", "--data.clips_per_video.test", "5"),
)
_KINDS = (("exact", "exact"), ("exact", "compact"), ("compact", "compact"))  # trained on, tested on


def make_set(videos: Path, lists: Path, classes: Sequence[str], out: Path) -> dict[str, str]:
    """Links to the videos by ids of Sports-1M's kind, and its lists; returns the source group of each id."""
    site, folder = out / "site", out / "lists"
    site.mkdir(parents=True)
    folder.mkdir()
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in classes), "utf-8")
    files = {path.stem: path for name in classes for path in sorted((videos / name).iterdir())}
    groups: dict[str, str] = {}
    for target, source in (("train_partition.txt", "trainlist01.txt"), ("test_partition.txt", "testlist01.txt")):
        stems = [Path(line.split()[0]).stem for line in (lists / source).read_text("utf-8").splitlines() if line]
        lines = []
        for stem in stems:
            if stem in files:
                video_id = f"v{len(groups):010d}"
                groups[video_id] = stem.rpartition("_c")[0]
                (site / f"{video_id}.mp4").symlink_to(files[stem].resolve())
                lines.append(f"{video_id} {[*classes].index(stem.split('_')[1])}\n")
        (folder / target).write_text("".join(lines), "utf-8")
    return groups


def run(verb: str, *words: object) -> None:
    """Run a verb, which has to succeed."""
    subprocess.run([sys.executable, "-m", "benchmark", verb, *map(str, words)], check=True)


def hits(folder: Path, groups: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Video Hit@1 of each tested video, and the number of its source group."""
    ledger = Ledger.read(folder / "ledger.parquet")
    true = ledger.labels[np.arange(len(ledger)), ledger.scores.argmax(1)].astype(float)
    return true, np.unique([groups[name] for name in ledger.video_ids], return_inverse=True)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=Path, required=True, help="One folder a class.")
    parser.add_argument("--lists", type=Path, required=True, help="Official lists of UCF-101.")
    parser.add_argument("--out", type=Path, required=True, help="A new folder.")
    parser.add_argument("--classes", nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--width", type=float, default=0.125)
    given = parser.parse_args()
    groups = make_set(given.videos, given.lists, given.classes, given.out)
    for form in ("exact", "compact"):
        run("prepare", "sports1m", "--lists", given.out / "lists", "--source", given.out / "site", "--format", form,
            "--store", given.out / form, "--work", given.out / f"work-{form}", *_CLIPS)  # fmt: skip
    found: dict[tuple[str, str], list[np.ndarray]] = {kind: [] for kind in _KINDS}
    clusters = np.zeros(0, np.int64)
    for seed in given.seeds:
        for trained, tested in _KINDS:
            fit, test = given.out / f"fit-{trained}-{seed}", given.out / f"test-{trained}-{tested}-{seed}"
            own = ["--config", "multires", "--data", "sports1m_shards", *_DATA, "--model.width", given.width]
            if not fit.exists():
                run("fit", *own, "--data.store", given.out / trained, "--run_dir", fit, "--trainer.max_epochs",
                    given.epochs, "--seed_everything", seed, "--trainer.logger", "false")  # fmt: skip
            run("test", *own, "--data.store", given.out / tested, "--run_dir", test, "--trainer.logger", "false",
                "--ckpt_path", fit / "checkpoints" / "last.ckpt")  # fmt: skip
            true, clusters = hits(test, groups)
            found[trained, tested].append(true)
    base = np.mean(found["exact", "exact"], 0)
    print(f"\n{len(base)} test videos of {clusters.max() + 1} sources, seeds {given.seeds}")
    for (trained, tested), each in found.items():
        mean = np.mean(each, 0)
        paired = Paired.of_hits(mean - base, clusters)
        low, high = paired.interval()
        print(
            f"trained on {trained}, tested on {tested}: video Hit@1 {mean.mean():.1%}"
            + (
                ""
                if np.array_equal(mean, base)
                else f", {100 * paired.difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f}) points"
            )
        )


if __name__ == "__main__":
    main()
