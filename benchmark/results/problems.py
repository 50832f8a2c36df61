"""What is wrong with a file that does not hold what it should, in one line."""

from pydantic import ValidationError


def first_problem(error: ValidationError) -> str:
    """Where the first problem is and what it is; safe to print, since what is quoted comes from the file."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {first['msg']}".encode("unicode_escape").decode()[:300]
