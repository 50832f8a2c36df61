"""Adds entries to the leaderboards, builds what is generated from them, checks both, and scores entries again."""

import filecmp
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from benchmark.command_line import Parser
from benchmark.commands.reproduction import reproduce_entry
from benchmark.errors import UserError, printable
from benchmark.extras import require_extra
from benchmark.files import file_hash
from benchmark.leaderboard.audits import AUDITED_COPIES, Audit
from benchmark.leaderboard.averages import check_averages
from benchmark.leaderboard.board import Board
from benchmark.leaderboard.board_tables import SUBMITTED
from benchmark.leaderboard.claims import check_claims, read_claims
from benchmark.leaderboard.entries import add_entry, check_entries, entry_folder
from benchmark.leaderboard.page import PLOTS_FILE_NAME, plots_version
from benchmark.leaderboard.ranking import boards_of, deviation_of, read_boards
from benchmark.leaderboard.speeds import FILE_NAME as SPEEDS_NAME
from benchmark.leaderboard.speeds import read_speeds
from benchmark.leaderboard.statements import (
    LARGEST_DIFFERENCE,
    MAINTAINERS_NAME,
    STATED_VIDEOS,
    Statement,
    require_signer,
    write_statement,
)
from benchmark.leaderboard.tables import GENERATED, README_NAME, require_leaderboards, write_tables
from benchmark.results.problems import first_problem
from benchmark.results.record import FILE_NAME as RECORD_NAME
from benchmark.results.record import Record, Submission
from benchmark.wording import counted

ROOT = Path("leaderboards")
PLOTS_SHA256 = "3b6e15d45dbb7fca5bd2094291e961ddc5472cd887009e6009a56dab668d721f"
"""Of the plotting library beside the published page, which stays when a newer one is installed."""


def add(
    run_dir: Path,
    root: Path = ROOT,
    ledger_url: str | None = None,
    clips_url: str | None = None,
    by: str | None = None,
    code_url: str | None = None,
    checkpoint_url: str | None = None,
    paper_url: str | None = None,
) -> int:
    """Check a finished test and copy its record and ledger into the leaderboards.

    Args:
        run_dir: Run folder of the test.
        root: The leaderboards' folder.
        ledger_url: Address of the ledger, for ledgers too large for the repository.
        clips_url: Address of the scores of single clips, likewise; without one a large file stays out of the entry.
        by: Who hands it in.
        code_url: Address of the code at its commit.
        checkpoint_url: Address of the checkpoint.
        paper_url: Address of a paper on it.

    Returns:
        0.

    Raises:
        UserError: If the test cannot be an entry.
    """
    named = {"by": by, "code": code_url, "checkpoint": checkpoint_url, "paper": paper_url}
    try:
        submission = Submission(**named) if any(named.values()) else None
    except ValidationError as error:
        raise UserError(f"--by, --code_url, --checkpoint_url or --paper_url: {first_problem(error)}") from None
    folder = add_entry(run_dir, root, ledger_url, clips_url, submission)
    if Record.read(run_dir).clips is not None and Record.read(folder).clips is None:
        print("without what was said of single clips, whose file is too large for the repository; --clips_url adds it")
    print(f"added {folder}; now run: python -m benchmark leaderboard build --root {root}")
    return 0


def build(root: Path = ROOT, ledgers: Path | None = None) -> int:
    """Write the tables, the CSV and the page from the entries.

    Args:
        root: The leaderboards' folder.
        ledgers: Folder with large ledgers, named `<sha256>.parquet`.

    Returns:
        0.

    Raises:
        UserError: If an entry is not what it should be.
    """
    boards = read_boards(root, ledgers)
    for path in write_tables(boards, root):
        print(f"wrote {path}")
    print(f"rows: {sum(len(board.rows) for board in boards)}, boards: {len(boards)}")
    return 0


def verify(root: Path = ROOT, ledgers: Path | None = None, maintainers: Path | None = None) -> int:
    """Work every number out again from its ledger, and check hashes, schema, places, signatures and generated files.

    Args:
        root: The leaderboards' folder.
        ledgers: Folder with large ledgers, named `<sha256>.parquet`.
        maintainers: List of the keys whose signatures count, such as the main branch's; the one in `root` by default.

    Returns:
        0 if everything was checked and nothing is wrong; 1 if something is wrong; 3 if something could not be checked.

    Raises:
        UserError: If the plotting library that is part of the page is missing.
    """
    require_extra("plotly", "leaderboard verify, which makes the page again,")
    entries, problems, unchecked = check_entries(root, ledgers, maintainers)
    require_leaderboards(root)
    wrong, unknown = check_claims(root)
    allowed = (*GENERATED, SPEEDS_NAME, MAINTAINERS_NAME)
    problems += [*check_averages(entries), *wrong]
    unchecked += unknown
    problems += [
        f"{path.name} does not belong here; beside the folders are {', '.join(allowed)}"
        for path in sorted(root.iterdir())
        if path.is_file() and path.name not in allowed
    ]
    try:
        speeds = read_speeds(root)
        problems += [
            f"{SPEEDS_NAME} names {name}, which is no entry"
            for name in sorted(set(speeds.entries if speeds else ()) - {entry.entry_id for entry in entries})
        ]
        stale, unknown = _stale(root, boards_of(entries, read_claims(root), speeds))
    except UserError as error:
        problems.append(str(error))
    else:
        problems += stale
        unchecked += unknown
    for line in problems:
        print(printable(f"wrong: {line}"))
    for line in unchecked:
        print(printable(f"not checked: {line}"))
    for entry in entries:
        for said, signed, counts in entry.stated():
            if said is not None and signed is not None:
                what = "audited" if isinstance(said, Audit) else "confirmed"
                told = f"{entry.entry_id}, {what} by {signed} on {counted(said.videos, 'video')}"
                print(printable(("signed: " if counts else "not signed: ") + told))
        if (found := deviation_of(entry.record)) is not None:
            print(printable(f"other pixels or scores than the protocol's: {entry.entry_id} was {found}"))
    if entries:
        print(SUBMITTED)
    print(f"{root}: {counted(len(problems), 'problem')}, {len(unchecked)} not checked")
    return 1 if problems else 3 if unchecked else 0


def speed(root: Path = ROOT, ledgers: Path | None = None, accelerator: str = "cpu") -> int:
    """Measure the networks of all entries one after the other, on a machine that does nothing else.

    Args:
        root: The leaderboards' folder.
        ledgers: Folder with large ledgers, named `<sha256>.parquet`.
        accelerator: Device that computes, as PyTorch names it: cpu, cuda or mps.

    Returns:
        0.

    Raises:
        UserError: If the machine is busy, or there is no such device.
    """
    from benchmark.commands.board_speed import measure_speeds  # the other verbs need no torch

    entries, _, _ = check_entries(root, ledgers)
    path = measure_speeds(root, entries, accelerator)
    print(f"wrote {path}; now run: python -m benchmark leaderboard build --root {root}")
    return 0


def _stale(root: Path, boards: Sequence[Board]) -> tuple[list[str], list[str]]:
    """Generated files that differ from what the entries give, and those that cannot be compared here."""
    stale, unknown = [], []
    with tempfile.TemporaryDirectory() as folder:
        for path in write_tables(boards, Path(folder)):
            held = root / path.name
            if held.is_file() and filecmp.cmp(path, held, shallow=False):
                continue
            if path.name == PLOTS_FILE_NAME and held.is_file() and file_hash(held) == PLOTS_SHA256:
                continue
            advice = f"run: python -m benchmark leaderboard build --root {root}"
            if path.name == PLOTS_FILE_NAME and held.is_file():
                ours, theirs = plots_version(path), plots_version(held)
                if theirs not in (None, ours):
                    unknown.append(f"{path.name} is version {theirs}, and the one that is installed {ours}")
                    continue
                advice = f"delete it and {advice}"
            stale.append(f"{path.name} is not what the entries give; {advice}")
    return stale, unknown


def reproduce(
    record: Path,
    ckpt_path: Path,
    videos: int = STATED_VIDEOS,
    data_root: Path | None = None,
    lists: Path | None = None,
    allowed_difference: float = 0.01,
    trust_code: bool = False,
    by: str | None = None,
    key: Path | None = None,
) -> int:
    """Score random videos of an entry again from their files, and compare with its ledger.

    Args:
        record: The entry's record, or its folder.
        ckpt_path: The checkpoint that the record names by its hash.
        videos: Number of videos to score; all of them if there are no more.
        data_root: Folder of the videos, where it is not the one in the record.
        lists: Folder of the official lists, where it is not the one in the record.
        allowed_difference: Largest difference of a class probability that still counts as the same, 0 to 0.05.
        trust_code: Run a model or data module from outside this package, which the record names.
        by: Your name, for the outcome.
        key: Your SSH key, to sign the outcome with; it counts where the leaderboards list it.

    Returns:
        0 if the ledger came out, else 1; `reproduction.json` is left beside the record only then.

    Raises:
        UserError: If the record, checkpoint or data are not the ones needed.
    """
    folder = _require_bounds(record, videos, allowed_difference)
    require_signer(by, key)
    found = reproduce_entry(folder, ckpt_path, videos, data_root, lists, allowed_difference, trust_code)
    print(
        f"{counted(found.videos, 'video')} scored again; largest difference of a class probability "
        f"{found.largest_difference:.2g} (allowed {found.allowed_difference:g})"
    )
    if found.largest_difference > found.allowed_difference:
        print(f"{folder} is not reproduced: the ledger's scores did not come out")
        return 1
    if found.proves(Record.read(folder)):
        _leave(folder, found, by, key)
    else:
        print(f"too few for the tier reproduced, which takes {STATED_VIDEOS} videos or all")
    return 0


def _build_again(entry: Path) -> None:
    """Build the leaderboards that an entry is in, if it is in some that were built."""
    root = entry.absolute().parents[2]
    if not (root / README_NAME).is_file() or root / entry_folder(Record.read(entry)) != entry.absolute():
        return
    try:
        build(root)
    except UserError as error:  # what was found is written all the same
        print(f"not built: {printable(str(error))}")


def audit(
    record: Path,
    ckpt_path: Path,
    videos: int = STATED_VIDEOS,
    copies: int = AUDITED_COPIES,
    data_root: Path | None = None,
    lists: Path | None = None,
    allowed_difference: float = 0.01,
    trust_code: bool = False,
    by: str | None = None,
    key: Path | None = None,
) -> int:
    """Run an entry's model with no internet access, on videos that it cannot know by name, and on changed copies.

    Args:
        record: The entry's record, or its folder.
        ckpt_path: The checkpoint that the record names by its hash.
        videos: Number of videos to score, drawn by a secret seed; all of them if there are no more.
        copies: How many of them are also shown encoded again, cut and shifted.
        data_root: Folder of the videos, where it is not the one in the record.
        lists: Folder of the official lists, where it is not the one in the record.
        allowed_difference: Largest difference of a class probability that still counts as the same, 0 to 0.05.
        trust_code: Run a model or data module from outside this package, which the record names; the data module runs
            in the auditing process.
        by: Your name, for the outcome.
        key: Your SSH key, to sign the outcome with; it counts where the leaderboards list it.

    Returns:
        0 if nothing speaks against the entry, else 1; `audit.json` is left beside the record only then.

    Raises:
        UserError: If the record, checkpoint or data are not the ones needed.
    """
    folder = _require_bounds(record, videos, allowed_difference)
    require_signer(by, key)
    if copies < 0:
        raise UserError(f"--copies is {copies}; it must be 0 or more")
    from benchmark.commands.entry_audit import EntryAudit  # decodes, which the other verbs do not

    entry = EntryAudit(folder, ckpt_path, data_root, lists, trust_code, allowed_difference)
    found, findings = entry.run(videos, copies)
    if found is not None:
        print(f"{found.extent}; {found.isolation}")
    for each in findings:
        print(printable(f"{each.outcome:11s} {each.about}: {each.said}"))
    if problems := sum(each.outcome == "problem" for each in findings):
        print(f"{folder} is not audited: {counted(problems, 'problem')}")
        return 1
    if found is not None and found.proves(Record.read(folder)):
        _leave(folder, found, by, key)
    else:
        print(f"too few for the tier audited, which takes {STATED_VIDEOS} videos and {AUDITED_COPIES} copies, or all")
    return 0


def _require_bounds(record: Path, videos: int, allowed_difference: float) -> Path:
    """The folder of a record, if a sample of it can be scored so."""
    if videos < 1 or not 0 <= allowed_difference <= LARGEST_DIFFERENCE:
        raise UserError(
            f"--videos is {videos} and --allowed_difference is {allowed_difference}; "
            f"the first must be 1 or more, the second from 0 to {LARGEST_DIFFERENCE}"
        )
    return record.parent if record.name == RECORD_NAME else record


def _leave(folder: Path, found: Statement, by: str | None, key: Path | None) -> None:
    found = found.model_copy(update={"by": by})
    print(f"wrote {write_statement(folder, found, key)}")
    _build_again(folder)


def main(argv: Sequence[str]) -> int:
    """Run `leaderboard add RUN | build | verify | speed | reproduce RECORD | audit RECORD`; return the exit code."""
    parser = Parser(
        prog="clipbench leaderboard", description="Add, build, verify, time, reproduce or audit leaderboard entries."
    )
    named = (add, build, verify, speed, reproduce, audit)
    verbs: dict[str, Callable[..., int]] = {function.__name__: function for function in named}
    entry = ("record", "The entry's record, or its folder.")
    files = {"add": ("run_dir", "Run folder of a test."), "reproduce": entry, "audit": entry}
    choices = parser.add_subcommands(dest="verb")
    for name, function in verbs.items():
        options = Parser(description=str(function.__doc__).partition("\n")[0])
        if name in files:
            options.add_argument(files[name][0], type=Path, help=files[name][1])
        options.add_function_arguments(function, as_group=False, skip={"run_dir", "record"})
        choices.add_subcommand(name, options, help=options.description)
    chosen = parser.parse_args(list(argv))
    return verbs[chosen.verb](**chosen[chosen.verb])
