"""Which checkpoint a run goes on from, also where its machines share no file system and one of them alone has it."""

from pathlib import Path

from benchmark.errors import UserError
from benchmark.files import file_hash
from benchmark.models.stored import read_checkpoint
from benchmark.runs.folder import OWN_CHECKPOINTS, find_checkpoint, own_checkpoint
from benchmark.runs.meeting import Meeting


def agreed_checkpoint(wanted: str, run_dir: Path, meeting: Meeting) -> str | None:
    """The same checkpoint for every process of a run; machines that lack it are given it. Collective.

    Args:
        wanted: What `--ckpt_path` says.
        run_dir: The run folder, which may be on each machine another one of that name.
        meeting: Of the processes.

    Returns:
        A file of this machine; None where `auto` finds nothing to go on with.

    Raises:
        UserError: In every process, if none has the file, or some have others under its name.
    """
    path = own_checkpoint(wanted, run_dir) if wanted in OWN_CHECKPOINTS else Path(wanted)
    there = path.is_file()
    if meeting.processes == 1:
        return None if wanted == "auto" and not there else find_checkpoint(wanted, run_dir)
    # Of a run that went on elsewhere, a machine may have an older state.
    step = read_checkpoint(str(path)).get("global_step", 0) if there and wanted in OWN_CHECKPOINTS else 0
    own = {"sha256": file_hash(path) if there else None, "step": step, "local_rank": meeting.local_rank}
    held = meeting.tell(own)
    holders = [rank for rank, each in enumerate(held) if each["sha256"] is not None]
    if not holders:
        return None if wanted == "auto" else find_checkpoint(wanted, run_dir)
    sender = max(holders, key=lambda rank: (held[rank]["step"], -rank))
    right = held[sender]["sha256"]
    others = [rank for rank, each in enumerate(held) if each["sha256"] != right]
    if wanted not in OWN_CHECKPOINTS:
        if differing := [rank for rank in others if rank in holders]:
            raise UserError(
                f"--ckpt_path {wanted} is in process {differing[0]} another file than in process {sender}; "
                "let all machines have the same one, or one of them alone"
            )
        target = run_dir / "received" / path.name
    else:
        target = path
    receivers = [rank for rank in others if held[rank]["local_rank"] == 0]
    is_right = meeting.rank not in others
    meeting.pass_on(path if is_right else target, sender, receivers)
    meeting.tell()  # all have it now
    found = path if is_right else target
    if not is_right and (not found.is_file() or file_hash(found) != right):
        raise UserError(f"--ckpt_path {wanted}: {found} did not come here whole; start again, or copy it there")
    return str(found)
