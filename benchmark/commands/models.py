"""Lists the networks that `--model` names, with what each reads and what it is."""

import inspect
from collections.abc import Sequence
from typing import Any

from benchmark.command_line import Parser
from benchmark.commands.text import aligned, json_instead


def models(content: dict[str, Any] | None = None) -> int:
    """Print each network: its name, the frames of a clip that it reads, its input's side in pixels, and what it is.

    Args:
        content: Receives them.
    """
    from benchmark.commands.plugins import model_rows  # import torch, for which a mistake does not wait
    from benchmark.plugins import load_plugins, offered

    lines: list[list[str]] = []
    for entry in (each for each in offered(load_plugins()) if each.kind == "model"):
        what = (inspect.getdoc(entry.cls) or "").partition("\n")[0].rstrip(".")
        lines += [[name, frames, side, what] for name, _, frames, side in model_rows(entry, costs=False)]
    if content is not None:
        content |= {name: {"frames": frames, "side": side, "what": what} for name, frames, side, what in lines}
    print(aligned(["model", "frames", "side"], [line[:3] for line in lines]))
    print("\nfit --config multires --model NAME; `clipbench fit --model.help NAME` lists the options of one")
    return 0


def main(argv: Sequence[str]) -> int:
    """Run `models [--json]` and return the exit code."""
    parser = Parser(prog="clipbench models", description="List the networks that --model names.")
    parser.add_argument("--json", action="store_true", help="Print them as JSON, and nothing else.")
    with json_instead(parser.parse_args(list(argv)).json) as content:
        return models(content)
