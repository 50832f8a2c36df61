"""Lines of the list files that come with a dataset."""

from pathlib import Path

from benchmark.errors import UserError


def read_lines(path: Path) -> list[str]:
    """The lines of a list file, without their ends and without a byte order mark.

    Raises:
        UserError: If it cannot be read, or is not in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as cause:
        raise UserError(
            f"{path} is not in UTF-8 (byte {cause.start + 1}: {cause.reason}); use the official file, unpacked, or "
            "save it in UTF-8"
        ) from cause
    except OSError as cause:
        raise UserError(f"{path} cannot be read: {cause.strerror}; allow reading it, or give another file") from cause
