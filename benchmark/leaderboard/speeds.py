"""Speeds of the networks on the boards, all measured by one command on one machine that did nothing else."""

from pathlib import Path

from pydantic import AwareDatetime, ValidationError

from benchmark.errors import UserError
from benchmark.results.fields import Part, Plain, read_limited
from benchmark.results.problems import first_problem
from benchmark.results.record import Hardware

FILE_NAME = "speeds.json"


class Speeds(Part):
    """What `leaderboard speed` measured: clips a second of each network alone, one view a clip, in float32."""

    hardware: Hardware
    created: AwareDatetime
    entries: dict[Plain, float]


def read_speeds(root: Path) -> Speeds | None:
    """The speeds beside the entries, or None where nobody measured any.

    Raises:
        UserError: If the file is something else.
    """
    path = root / FILE_NAME
    if not path.exists():
        return None
    try:
        return Speeds.model_validate_json(read_limited(path))
    except (ValidationError, OSError) as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else error.strerror
        raise UserError(f"{path} holds no speeds: {reason}") from None
