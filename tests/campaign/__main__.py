"""A campaign of attacks on the suite: damaged files, kills, full disks, strangers' boards. Prints one table.

    python -m tests.campaign [--minutes 30] [--seed 1] [--only videos boards] [--size 100]

Attacks of a kind have the numbers from `--seed` on, and each is made from its number alone. What is refused with one
message, or goes on to the right result, is as it should be; all else is a fault, named with the line that makes it
again. `--size` is the number of attacks of each kind, by default that of a whole campaign; every kind ends after its
share of the minutes, whatever is left of it. The exit code is 1 if there were faults.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmark.commands.text import aligned
from tests.campaign.attacks import Tally, make
from tests.campaign.kinds import KINDS


def table(tallies: list[Tally], seconds: float) -> str:
    """What came of it."""
    counts = [(t.tried, t.survived, t.refused, len(t.faults)) for t in tallies]
    named = [*zip((t.kind.name for t in tallies), counts, strict=True), ("all", map(sum, zip(*counts, strict=True)))]
    rows = [[name, *(f"{count:,}" for count in held)] for name, held in named]
    text = aligned(["kind", "tried", "survived as said", "refused with one message", "faults"], rows)
    return f"{text}\n{seconds / 60:.1f} minutes"


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="what all kinds may take together")
    parser.add_argument("--seed", type=int, default=1, help="number of the first attack of each kind")
    parser.add_argument("--only", nargs="*", default=[], choices=[[], *KINDS], metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--size", type=int, help="attacks of each kind")
    options = parser.parse_args()
    kinds = [KINDS[name] for name in options.only or KINDS]
    tallies, begun = list[Tally](), time.monotonic()
    until = begun + 60 * options.minutes
    with tempfile.TemporaryDirectory(prefix="clipbench-campaign-") as folder:
        for place, kind in enumerate(kinds):
            share = kind.share / sum(each.share for each in kinds[place:])
            seconds = share * max(0.0, until - time.monotonic())
            size = kind.size if options.size is None else options.size
            tallies.append(make(kind, options.seed, size, seconds, Path(folder), lambda line: print(line, flush=True)))
            print(f"{kind.name}: {tallies[-1].tried} attacks, {len(tallies[-1].faults)} faults", file=sys.stderr)
    print(table(tallies, time.monotonic() - begun))
    return 1 if any(tally.faults for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
