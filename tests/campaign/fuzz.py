"""Coverage-guided fuzzing of everything that reads a file of somebody else's, for as long as you like.

    python -m tests.campaign.fuzz [--minutes 60] [--seed 1] [--only ledger record] [--folder DIR]

Needs `pip install atheris`. Inputs that reach new code are kept in the folder, and a later run begins with them. One
that ends in anything but success or `UserError`, takes 20 seconds or 2 GB is a finding: it stops the run, which prints
its traceback and the name of the file that holds it. Make a case of `tests/campaign/test_readers.py` of it.
"""

import argparse
import importlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

FOLDER = Path(tempfile.gettempdir()) / "clipbench-fuzz"


def main() -> None:
    """Fuzz until the time is over."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="names of readers; all by default")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="holds the inputs kept")
    options = parser.parse_args()
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        raise SystemExit("fuzzing needs atheris: pip install atheris") from None
    with atheris.instrument_imports(include=["benchmark"]):
        from tests.campaign.readers import READERS
    names = options.only or [*READERS, *_MADE]
    corpus, found = options.folder / "inputs", options.folder / "found"
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        if name in READERS:
            for place, content in enumerate(READERS[name].sound()):
                (corpus / f"sound-{number}-{place}").write_bytes(bytes([number]) + content)
    scratch = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))

    def one(data: bytes) -> None:
        if data:
            try_reader(names[data[0] % len(names)], data[1:], scratch, atheris.FuzzedDataProvider)

    words = [f"-max_total_time={int(60 * options.minutes)}", f"-seed={options.seed}", "-timeout=20", "-max_len=20000"]
    words += ["-rss_limit_mb=4096", f"-artifact_prefix={found}/", "-print_final_stats=1", "-verbosity=1"]
    atheris.Setup([sys.argv[0], *words, str(corpus)], one, enable_python_coverage=True)
    atheris.Fuzz()


def try_reader(name: str, data: bytes, scratch: Path, provider: Callable[[bytes], object]) -> None:
    """Give one input to one reader.

    Args:
        name: Of the reader, or of a way to make a ledger of the input.
        data: The input.
        scratch: A folder to write it to.
        provider: Makes typed values of bytes, as `atheris.FuzzedDataProvider` does.
    """
    from benchmark.errors import UserError
    from tests.campaign.readers import READERS

    reader = READERS.get(name, READERS["ledger"])
    content = _MADE[name](data, provider) if name in _MADE else data
    path = scratch / reader.file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    try:
        reader.use(path)
    except (UserError, OSError) as error:  # an OSError of `read_limited` is said by those who call it
        if isinstance(error, OSError) and "allowed are" not in str(error):
            raise


def _with_info(data: bytes, provider: Callable[[bytes], object]) -> bytes:
    """A sound ledger whose metadata are the input."""
    from tests.campaign.readers import ledger_with

    return ledger_with(data)


def _with_rows(data: bytes, provider: Callable[[bytes], object]) -> bytes:
    """A ledger of two classes whose rows are drawn from the input."""
    from benchmark.results.ledger import SCHEMA
    from tests.campaign.readers import ledger_with
    from tests.generators.ledgers import make_ledger

    drawn: object = provider(data)
    integer, text, number = drawn.ConsumeIntInRange, drawn.ConsumeUnicodeNoSurrogates, drawn.ConsumeFloat  # type: ignore[attr-defined]

    def integers() -> list[int]:
        return [integer(-2, 5) if integer(0, 9) else integer(-(2**31), 2**31 - 1) for _ in range(integer(0, 2))]

    def scores() -> list[float]:
        first = float(np.float32(number()))
        return [first, 1 - first][: integer(0, 2)] if integer(0, 3) else [integer(0, 4) / 4, 1 - integer(0, 4) / 4]

    rows = []
    for _ in range(integer(0, 4)):
        makers: dict[str, Callable[[], object]] = {
            "labels": integers,
            "source_group": lambda: text(3) if integer(0, 1) else None,
            "reason": lambda: text(4) if integer(0, 1) else None,
            "scores": lambda: scores() if integer(0, 2) else None,
            "clip_starts": lambda: integers() if integer(0, 2) else None,
            "clip_ranks": lambda: integers() if integer(0, 2) else None,
        }
        status = ("scored", "failed", text(3))[integer(0, 2)]
        rows.append({"video_id": text(4), "status": status, **{name: make() for name, make in makers.items()}})
    try:
        table = pa.Table.from_pylist(rows, SCHEMA)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        table = None
    return ledger_with(make_ledger(videos=3, classes=2, clips=1, groups=0).info.to_json(), table)


_MADE: dict[str, Callable[[bytes, Callable[[bytes], object]], bytes]] = {
    "ledger's metadata": _with_info,
    "ledger's rows": _with_rows,
}

if __name__ == "__main__":
    main()
