"""Lists the configurations that come with the package, and copies one to be changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.command_line import Parser
from benchmark.commands.text import json_instead
from benchmark.errors import UserError
from benchmark.shipped import configuration, configurations


def show(content: dict[str, Any] | None = None) -> int:
    """Print every name with the first line of its file.

    Args:
        content: Receives them.
    """
    known = configurations()
    if content is not None:
        content |= {name: first_line(path) for name, path in known.items()}
    width = max(map(len, known), default=0) + 2
    for name, path in known.items():
        print(f"{name:{width}s}{first_line(path)}")
    return 0


def first_line(path: Path) -> str:
    """What a configuration says of itself."""
    return path.read_text("utf-8").partition("\n")[0].removeprefix("#").strip()


def copy(name: str, to: Path | None = None) -> int:
    """Write a shipped configuration to a file that can be changed.

    Args:
        name: Of the configuration, such as multires.
        to: File to write; one of that name in the current folder by default.

    Returns:
        0.

    Raises:
        UserError: If the name is unknown, or the file is there already or cannot be written.
    """
    source = configuration(name)
    target = to if to is not None else Path(source.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8", newline="\n") as file:
            file.write(source.read_text("utf-8"))
    except OSError as error:
        if isinstance(error, FileExistsError) and target.exists():
            raise UserError(f"{target} is there already and stays as it is; name another file with --to") from None
        raise UserError(f"--to {target} cannot be written ({error.strerror}); name another file") from error
    use = {"data": f"fit --config multires --data {target}", "transfer": f"transfer --config {target}"}
    print(f"wrote {target}; use it: clipbench {use.get(name.partition('/')[0], f'fit --config {target}')}")
    return 0


def main(argv: Sequence[str]) -> int:
    """Run `configs` or `configs copy NAME [--to FILE]` and return the exit code."""
    parser = Parser(
        prog="clipbench configs", description="List the configurations that come with clipbench, or copy one."
    )
    parser.add_argument("--json", action="store_true", help="Print the list as JSON, and nothing else.")
    choices = parser.add_subcommands(dest="verb", required=False)
    options = Parser(description=str(copy.__doc__).partition("\n")[0])
    options.add_argument("name", type=str, help="Of the configuration, such as multires.")
    options.add_argument("--to", type=Path | None, default=None, help="File to write; NAME.yaml here by default.")
    choices.add_subcommand("copy", options, help=options.description)
    chosen = parser.parse_args(list(argv))
    if chosen.verb is not None:
        return copy(**chosen.copy.as_dict())
    with json_instead(chosen.json) as content:
        return show(content)
