"""Run folders: where a run's logs, checkpoints and configuration lie, and how a later run finds them."""

import datetime
import os
import platform
import re
import shutil
import tempfile
import time
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.errors import UserError, no_such_checkpoint

SHARED = "CLIPBENCH_RUN_DIR"
"""Variable of the environment: processes that Lightning starts for other devices share the first one's folder by it."""


_MOMENT = re.compile(r"-\d{8}-\d{6}(-\d+)?")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:[/\\]")  # a drive of Windows has a single letter

OWN_CHECKPOINTS = ("last", "best", "auto")
"""Values of `--ckpt_path` that mean a file in the run's own folder; `auto` is `last` where there is one."""


def experiment_name(config: Path) -> str:
    """What runs of a configuration are called: as its file, or as the run that has left it in its folder."""
    left = (".holder", "checkpoints", "record.json")
    is_of_run = config.stem.partition("_")[0] == "config" and any((config.parent / name).exists() for name in left)
    return _MOMENT.sub("", config.absolute().parent.name) if is_of_run else config.stem


def new_run_dir(chosen: Path | None, name: str, *, resume: bool, parent: Path = Path("runs")) -> Path:
    """The folder of this run.

    Args:
        chosen: What the user asked for, or None.
        name: First part of a new folder's name.
        resume: Whether to go on in the newest folder of that name instead of beginning a new one.
        parent: Where folders of runs lie.

    Raises:
        UserError: If there is nothing to resume, the chosen folder is a file or a URL, is in use by another process or
            holds a finished or broken-off run already, cannot be written to, or processes started from outside were
            given none.
    """
    if chosen is not None:
        require_local(chosen, "--run_dir")
    if "LOCAL_RANK" in os.environ and SHARED in os.environ:
        return Path(os.environ[SHARED])
    if _is_started_from_outside() and chosen is None:
        raise UserError("processes started from outside must agree on one run folder; pass --run_dir")
    if chosen is None and resume:
        # After the name comes a moment, so that `slow` does not go on with a run of `slow-2`.
        earlier = sorted(
            parent.glob(f"{name}-{'[0-9]' * 8}-{'[0-9]' * 6}*/checkpoints/last.ckpt"),
            key=lambda path: path.stat().st_mtime,
        )
        if not earlier:
            raise UserError(
                f"there is nothing to resume: no {parent}/{name}-*/checkpoints/last.ckpt; leave out --ckpt_path"
            )
        folder = earlier[-1].parent.parent
    elif chosen is None:
        folder = _made(parent, f"{name}-{datetime.datetime.now().astimezone():%Y%m%d-%H%M%S}")
    else:
        folder = chosen
        blocking = next((path for path in (folder, *folder.parents) if path.exists()), None)
        if blocking is not None and not blocking.is_dir():
            raise UserError(f"--run_dir is {folder}, and {blocking} is a file; name a folder, which may be a new one")
        if not resume and (folder / "checkpoints" / "last.ckpt").exists():
            raise UserError(
                f"--run_dir {folder} holds a run already; go on with it by --ckpt_path last, or name another folder; "
                "--ckpt_path auto begins where there is none and goes on where there is one"
            )
    require_writable(folder, "--run_dir")
    if "LOCAL_RANK" not in os.environ and os.environ.get("SLURM_PROCID", "0") == "0":
        _hold(folder)
    os.environ[SHARED] = str(folder)
    return folder


_held: dict[Path, FileLock] = {}
_made_here: set[Path] = set()
_kept: set[Path] = set()


def _hold(folder: Path) -> None:
    """Keep others out of a run folder until `release`, or until this process ends, however it does."""
    if folder.resolve() in _held:
        return
    # A loader worker keeps its share of the lock for a moment longer than a run that was killed.
    lock, holder = FileLock(folder / ".lock", timeout=5), folder / ".holder"
    try:
        lock.acquire()
    except Timeout:
        who = holder.read_text("utf-8").strip() if holder.exists() else "another process"
        raise UserError(
            f"the run folder {folder} is in use by {who}; wait for it, or name another by --run_dir"
        ) from None
    except (OSError, NotImplementedError):  # a file system that knows no locks
        return
    _held[folder.resolve()] = lock
    holder.write_text(f"process {os.getpid()} on {platform.node()}\n", "utf-8")


def keep(folder: Path) -> None:
    """Note that something is worked out in a run folder; what is in it stays then, whatever ends the run."""
    _kept.add(folder.resolve())


def how_to_go_on() -> str:
    """How a fit of this process that was broken off goes on, as the end of a message; empty where there is none."""
    saved = [folder / "checkpoints" / "last.ckpt" for folder in _held]
    times = [path.stat().st_mtime for path in saved if path.exists()]
    if times:
        return f"; --ckpt_path last goes on from what was saved {max(0, time.time() - max(times)):.0f} s ago"
    return "; it had saved nothing yet" if saved else ""


def release(*, refused: bool = False) -> None:
    """Let others use the run folders of this process; one that it made and left nothing in goes.

    Args:
        refused: Whether the command was refused; a folder in which nothing was worked out goes then too.
    """
    while _held:
        folder, lock = _held.popitem()
        is_empty = all(path.is_dir() or path.name in {".lock", ".holder"} for path in folder.rglob("*"))
        if folder in _made_here and (is_empty or (refused and folder not in _kept)):
            shutil.rmtree(folder, ignore_errors=True)
        lock.release()
    _made_here.clear()
    _kept.clear()


def _made(parent: Path, name: str) -> Path:
    """A new folder that no other run has, also one that begins in the same moment."""
    number = 0
    while True:
        folder = parent / f"{name}{f'-{number}' if number else ''}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        except OSError:  # which is said where the folder is written to
            return folder
        _made_here.add(folder.resolve())
        return folder


def require_writable(folder: Path, option: str) -> None:
    """Make a folder and try to write to it, before any work is done.

    Raises:
        UserError: If that cannot be, with the option that names another.
    """
    require_local(folder, option)
    try:
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)  # another process of the run may be quicker
            _made_here.add(folder.resolve())
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"the folder {folder} cannot be written to: {error.strerror}; name another one by {option}"
        ) from error


def require_local(path: Path, option: str) -> None:
    """Refuse a URL, which as the name of a folder would be one beside this process's own.

    Raises:
        UserError: With the option.
    """
    if _URL.match(str(path)):
        address = re.sub(r":[/\\]+", "://", str(path), count=1)
        raise UserError(
            f"{option} is {address}, an address; it must be a folder of a file system. Mount the store, or name a "
            "local folder and copy it from there"
        )


def _is_started_from_outside() -> bool:
    """Whether this process is one of several that something else has started, as torchrun or srun do."""
    tasks = os.environ.get("SLURM_NTASKS", "1")
    # A step's own number tells srun from a batch script that asks for several tasks and starts one process itself.
    is_several = tasks.isdecimal() and int(tasks) > 1 and "SLURM_PROCID" in os.environ
    return "LOCAL_RANK" in os.environ or (is_several and "SLURM_STEP_ID" in os.environ)


def own_checkpoint(wanted: str, run_dir: Path) -> Path:
    """Where one of `OWN_CHECKPOINTS` is in a run folder."""
    return run_dir / "checkpoints" / f"{'last' if wanted == 'auto' else wanted}.ckpt"


def find_checkpoint(wanted: str, run_dir: Path) -> str:
    """The checkpoint file that `--ckpt_path` means: `last` and `best` lie in the run folder, anything else is a path.

    Raises:
        UserError: If the file is not there.
    """
    path = own_checkpoint(wanted, run_dir) if wanted in OWN_CHECKPOINTS else Path(wanted)
    if not path.is_file():
        raise no_such_checkpoint(wanted, path)
    return str(path)
