"""Processes that share the work of a run must hold the same videos, or each waits for batches that another lacks."""

import hashlib
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch.distributed

from benchmark.data.index import VideoIndex
from benchmark.errors import UserError
from benchmark.wording import counted

_NAMED = 5


def require_same_index(read: Callable[[], VideoIndex], processes: int) -> None:
    """Compare what all processes have found; collective, also where one has found nothing.

    Args:
        read: Gives this process's index, or raises UserError.
        processes: Number of processes.

    Raises:
        UserError: In every process, if one cannot read its index or two differ, with the difference.
    """
    index, problem = None, ""
    try:
        index = read()
    except UserError as error:
        problem = str(error)
    if processes == 1 or not torch.distributed.is_initialized():
        if problem:
            raise UserError(problem)
        return
    told = _all((problem, "" if index is None else _digest(index)), processes)
    if problem:
        raise UserError(problem)
    for other, (their_problem, _) in enumerate(told):
        if their_problem:
            raise UserError(f"process {other} of {processes} cannot begin: {their_problem}")
    if index is None or all(digest == told[0][1] for _, digest in told):
        return
    facts = _all(_facts(index), processes)
    other = next(number for number, (_, digest) in enumerate(told) if digest != told[0][1])
    raise UserError(
        f"the processes hold different data, {_difference(facts[0], facts[other], other)}; let data.root and the lists "
        "be the same on every machine"
    )


def _all(own: Any, processes: int) -> list[Any]:
    found = [own] * processes
    torch.distributed.all_gather_object(found, own)
    return found


def _held(index: VideoIndex) -> pa.Table:
    return index.table.filter(pc.is_valid(index.table["path"])).drop_columns("path")


def _digest(index: VideoIndex) -> str:
    """Of all that decides which clips a process reads, in which order; where the files lie is its own affair."""
    digest = hashlib.sha256(repr((index.identity, index.class_names)).encode())
    sink = pa.BufferOutputStream()
    held = _held(index).combine_chunks()
    with pa.ipc.new_stream(sink, held.schema) as writer:
        writer.write_table(held)
    digest.update(sink.getvalue())
    # Rows are numbered over all videos, also those without a file.
    digest.update(index.table["path"].is_valid().combine_chunks().to_numpy(zero_copy_only=False).tobytes())
    return digest.hexdigest()


def _facts(index: VideoIndex) -> tuple[str, tuple[str, ...], dict[str, tuple[list[int], str]]]:
    held = _held(index)
    rows = zip(held["video_id"].to_pylist(), held["labels"].to_pylist(), held["split"].to_pylist(), strict=True)
    return str(index.identity), index.class_names, {name: (labels, split) for name, labels, split in rows}


def _difference(first: Any, second: Any, other: int) -> str:
    for what, one, two in (("dataset", first[0], second[0]), ("classes", first[1], second[1])):
        if one != two:
            return f"whose {what} are {one} in process 0 and {two} in process {other}"
    parts = []
    for lacks, has, those, these in ((other, 0, first[2], second[2]), (0, other, second[2], first[2])):
        if missing := sorted(those.keys() - these.keys()):
            named = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
            parts.append(f"process {lacks} lacks {counted(len(missing), 'video')} that process {has} holds ({named})")
    if parts:
        return "; ".join(parts)
    for name, one in first[2].items():
        if one != second[2][name]:
            two = second[2][name]
            return f"{name} has classes {one[0]} of {one[1]} in process 0 and {two[0]} of {two[1]} in process {other}"
    return f"the same videos in another order in process {other}"
