"""Errors that a user can cause, in the words of one message."""

import errno
import re
import traceback

from jsonargparse import ArgumentError

from benchmark.argument_messages import of_arguments
from benchmark.errors import UserError

_LOST_WORKER = re.compile(
    r"DataLoader worker \(pid\(?s?\)? ?([\d, ]+)\) (?:is killed by signal: (?P<signal>[\w ]+)|exited unexpectedly)"
)
# What a system refuses with, and a user can do about it; other errors of a system are faults of ours.
_REFUSALS = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "change its rights, or name another"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room, or name another disk"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit of open files, or lower data.num_workers"),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.ENOTDIR), "name another"),
}
_UNION = "Does not validate against any of the Union subtypes"
_OF_WANDB = {"UsageError", "AuthenticationError", "CommError"}


def for_the_user(error: BaseException | None) -> str | None:
    """What the user can fix, if the error is or comes from such; None for a fault of ours or of a plugin's.

    Args:
        error: What ended the command.
    """
    chain = _chain(error)
    for one in chain:
        if isinstance(one, UserError):
            return str(one)
    outermost, root = chain[0], chain[-1]
    if isinstance(outermost, ArgumentError):
        return of_arguments(str(outermost))
    if isinstance(outermost, ValueError) and str(outermost).startswith(_UNION):
        made = re.search(r"class_path='([^']+)'", str(outermost))
        name = made[1] if made else "a class"
        return f"{name} cannot be made with these options: {_one_line(root)} (CLIPBENCH_TRACEBACK=1 shows where)"
    for one in chain:
        if type(one).__module__.startswith("wandb.") and type(one).__name__ in _OF_WANDB:
            return f"W&B says: {_one_line(one)} Or keep its logs here: --trainer.logger.offline true"
    for one in chain:
        if isinstance(one, RuntimeError) and (worker := _LOST_WORKER.match(str(one))):
            if worker["signal"] in (None, "Killed", "Terminated"):
                return (
                    f"loader worker {worker[1]} was killed, as a system does that runs out of memory: lower "
                    "data.num_workers or data.batch_size; what is unfinished goes on with --ckpt_path last"
                )
            return (
                f"loader worker {worker[1]} crashed ({worker['signal']}), as C code does that has a fault: "
                "PYTHONFAULTHANDLER=1 with --data.num_workers 0 shows where; what is unfinished goes on with "
                "--ckpt_path last"
            )
    if isinstance(outermost, OSError) and outermost.errno in _REFUSALS:
        place = "a file" if outermost.filename is None else outermost.filename
        return f"{place} cannot be used: {outermost.strerror}; {_REFUSALS[outermost.errno]}"
    # Lightning writes such messages for users, and raises them itself.
    is_lightnings = isinstance(outermost, ValueError | TypeError | RuntimeError) and _raised_in(outermost, "lightning")
    if is_lightnings or type(outermost).__name__ == "MisconfigurationException":
        return str(outermost).strip()
    return None


def _chain(error: BaseException | None) -> list[BaseException]:
    """An error and what it came from."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _raised_in(error: BaseException, package: str) -> bool:
    """Whether the line that raised it belongs to a package."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    name = str(frames[-1].f_globals.get("__name__", "")) if frames else ""
    return name.partition(".")[0] == package


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
