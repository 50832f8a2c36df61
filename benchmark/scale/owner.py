"""Whose checkpoints a folder of `launch --store` holds: said there by the run that came first."""

import importlib
from pathlib import Path
from typing import Any

from benchmark.errors import UserError, printable

_MARK = "run_dir.txt"
_MOST_BYTES = 2**14


def claim(store: str, run_dir: Path) -> None:
    """Say in a store that a run's folder of it is that run's. Ray knows runs there by the last part of their name.

    Args:
        store: Folder or URL, as Ray takes it.
        run_dir: The run folder, absolute.

    Raises:
        UserError: If it is another run's, or cannot be used.
    """
    fs: Any = importlib.import_module("pyarrow.fs")
    try:
        system, root = fs.FileSystem.from_uri(store)
        folder = f"{root.rstrip('/')}/{run_dir.name}"
        mark = f"{folder}/{_MARK}"
        if system.get_file_info(mark).type == fs.FileType.NotFound:
            system.create_dir(folder, recursive=True)
            with system.open_output_stream(mark) as file:
                file.write(str(run_dir).encode())
        with system.open_input_stream(mark) as file:  # also of one that another run has left meanwhile
            owner = file.read(_MOST_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError) as error:  # pyarrow's own are among them
        said = " ".join(str(error).split())[:300]
        raise UserError(
            f"--store is {store}, which cannot be used: {said}; give a folder by its whole path, or an s3:// address "
            "of a bucket that is there"
        ) from None
    if owner != str(run_dir):
        raise UserError(
            f"--store is {store}, where {run_dir.name} holds checkpoints of {printable(owner)} and not of {run_dir}; "
            f"give another --store, or delete {_MARK} there if the run has moved"
        )
