"""Lists what can be named on the command line: built in and added by other packages."""

import inspect
import typing
import warnings
from collections.abc import Sequence
from typing import Any

import torch

from benchmark.command_line import Parser
from benchmark.commands.text import aligned
from benchmark.cost import gflop_by_shapes, gflop_per_clip, parameter_count
from benchmark.errors import printable
from benchmark.extras import why_missing
from benchmark.importing import ENTRY_POINTS, one_line
from benchmark.metrics.descriptors import known_scores
from benchmark.models import VideoClassifier
from benchmark.plugins import BUILT_IN, KINDS, Offered, load_plugins, offered, verbs

_CLASSES = 487  # of Sports-1M
_LONGEST = 60


def plugins(costs: bool = True) -> int:
    """Print what is there and which plugins are broken.

    Args:
        costs: Whether to work out parameters and floating-point operations of the models, some seconds each.

    Returns:
        0, or 1 if a plugin is broken.

    Raises:
        UserError: If two classes or verbs have one name.
    """
    found = load_plugins()
    entries = offered(found)
    added = verbs(found, ())
    models = [entry for entry in entries if entry.kind == "model"]
    print(f"models, for {_CLASSES} classes with default options")
    header = ["model", "origin", "frames", "side", *(["parameters", "GFLOP a clip"] if costs else [])]
    print(aligned(header, [row for entry in models for row in model_rows(entry, costs=costs)]))
    for library in sorted({entry.cls.optional_library for entry in models if entry.cls.optional_library}):
        if reason := why_missing(library):
            needing = ", ".join(entry.cls.__name__ for entry in models if entry.cls.optional_library == library)
            print(f"{needing} needs {library}, which {reason}")
    for kind in KINDS:
        rows = [[entry.cls.__name__, entry.origin] for entry in entries if entry.kind == kind and kind != "model"]
        if rows:
            print("\n" + aligned([kind, "origin"], rows))
    origins_of = {score.name: plugin.origin for plugin in found for score in plugin.scores}
    rows = [[score.name, score.title, origins_of.get(score.name, BUILT_IN)] for score in known_scores()]
    print("\n" + aligned(["score", "title", "origin"], rows))
    if added:
        origins = {plugin.name: plugin.origin for plugin in found if plugin.loaded is added.get(plugin.name)}
        print("\n" + aligned(["verb", "origin"], [[name, origins[name]] for name in added]))
    broken = [plugin for plugin in found if plugin.error is not None]
    for plugin in broken:
        print(f"\nbroken: {printable(plugin.name)} of {printable(plugin.origin)}: {plugin.error}")
    if not found:
        print(f"\nno package adds to these; the entry-point group is {ENTRY_POINTS}")
    return 1 if broken else 0


def model_rows(entry: Offered, *, costs: bool) -> list[list[str]]:
    """A line for a model, or for each architecture of a class that lends its name to several."""
    try:
        hints = typing.get_type_hints(entry.cls.__init__)
    except Exception:  # names that exist for a type checker alone
        hints = {}
    required = {
        name: hints.get(name)
        for name, parameter in inspect.signature(entry.cls).parameters.items()
        if parameter.default is parameter.empty and name != "num_classes" and parameter.kind in _NAMED
    }
    if not required:
        return [_row(entry, {}, costs=costs)]
    name, choices = next(iter(required.items()))
    if len(required) == 1 and typing.get_origin(choices) is typing.Literal:
        return [_row(entry, {name: choice}, costs=costs) for choice in typing.get_args(choices)]
    return [[entry.cls.__name__, entry.origin, "", "", *(["", f"needs {', '.join(required)}"] if costs else [])]]


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _row(entry: Offered, options: dict[str, Any], *, costs: bool) -> list[str]:
    """Name, origin, input and cost of a model."""
    row = [" ".join([entry.cls.__name__, *(str(value) for value in options.values())]), entry.origin]
    library = entry.cls.optional_library
    if library is not None and why_missing(library):
        return [*row, "-", "-", *(["-", f"needs {library}"] if costs else [])]
    try:
        network, gflop = _facts(entry.cls, options, costs=costs)
        row += [f"{len(network.frame_offsets)} of {network.clip_frames}", str(network.input_side)]
        row += [f"{parameter_count(network):,}", f"{gflop:.2f}"] if costs else []
    except Exception as error:  # a plugin's constructor may raise anything
        row += ["-"] * (5 - len(row)) + [_short(error)] if costs else ["-"] * (4 - len(row))
    return row


def _short(error: Exception) -> str:
    shown = one_line(error)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def _facts(cls: type[Any], options: dict[str, Any], *, costs: bool) -> tuple[VideoClassifier, float]:
    """A network and its GFLOP a clip; its weights have no memory unless its constructor or its layers need values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with torch.device("meta"):
                network: VideoClassifier = cls(_CLASSES, **options)
            return network, gflop_by_shapes(network) if costs else 0.0
        except Exception:
            network = cls(_CLASSES, **options)
            return network, gflop_per_clip(network) if costs else 0.0


def main(argv: Sequence[str]) -> int:
    """Run `plugins [options]` and return the exit code."""
    parser = Parser(prog="clipbench plugins", description="List models, datasets, scores, callbacks and verbs.")
    parser.add_function_arguments(plugins, as_group=False)
    chosen = parser.parse_args(list(argv))
    return plugins(**vars(chosen))
