"""What the results in a folder were made of: another search or study must not take them for its own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.changes import changes, leaves
from benchmark.data.index import VideoIndex
from benchmark.errors import UserError
from benchmark.files import write_whole
from benchmark.runs.conditions import DATA_PLACES, VIDEOS


def made_of(
    index: VideoIndex, *, data: Mapping[str, Any], model: Mapping[str, Any], epochs: int, seed: int
) -> dict[str, Any]:
    """What decides the results of a search or study, by name, as plain values.

    Args:
        index: The videos.
        data: Class path and options of the data module, as configured; where things lie is left out.
        model: Options of the network; where measured features lie is left out.
        epochs: Of each training.
        seed: Of the search and of the weights.
    """
    named = leaves({"data": data, "model": model})
    immaterial = {"model.store", *(f"data.{name}" for name in DATA_PLACES)}
    kept = {name: value for name, value in named.items() if ".".join(name.split(".")[:2]) not in immaterial}
    identity = str(index.identity)
    facts = {"the dataset": identity, **kept, "epochs": epochs, "seed": seed, VIDEOS: index.fingerprint}
    found: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return found


def claim(file: Path, facts: Mapping[str, Any], *, begun: bool) -> None:
    """Note what a folder's results are made of, and refuse to go on where they were made of something else.

    Args:
        file: In that folder; it is written where no result is there yet.
        facts: Of `made_of`.
        begun: Whether a result is there.

    Raises:
        UserError: If the results there were made of something else, with what differs, or do not say of what.
    """
    remedy = "Name another folder by --run_dir, or remove this one"
    if begun:
        try:
            held = json.loads(file.read_text("utf-8"))
            # Another fold has other videos, which goes without saying.
            differ = changes({**held, VIDEOS: facts[VIDEOS]}, facts) or changes(held, facts)
        except FileNotFoundError:
            raise UserError(
                f"{file.parent} holds results without {file.name}, what they were made of. {remedy}"
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{file} is damaged. {remedy}") from error
        if differ:
            raise UserError(
                f"--run_dir {file.parent} holds results that were made otherwise: {'; '.join(differ)}. {remedy}, or "
                "give what was given before"
            )
        return
    write_whole(file, json.dumps(facts, indent=1))
