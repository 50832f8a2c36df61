"""Classes, scores and verbs that other packages add, found by their entry points; classes that users name by path.

A package names its module in the entry-point group `clipbench.plugins`. Importing it is all it takes: every class in
it that derives from one of `KINDS` is then known on the command line by its short name, as the built-in ones are. Every
`Score` in it is worked out and shown wherever scores are. A module with a `SUMMARY` and a `main(argv)` becomes a verb
under the entry point's name.
"""

import dataclasses
import functools
import gc
import importlib
import importlib.metadata
import itertools
import os
import sys
import typing
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from lightning import Callback

import benchmark
from benchmark.added_scores import add_scores
from benchmark.class_options import nearest, nearest_names, subclasses
from benchmark.data.datamodule import VideoDataModule
from benchmark.errors import UserError
from benchmark.extras import require_extra
from benchmark.importing import declared_plugins, import_module, left_out, one_line
from benchmark.metrics.descriptors import Score
from benchmark.models.video_classifier import VideoClassifier
from benchmark.shipped import is_file

KINDS: dict[str, type[Any]] = {
    "model": VideoClassifier,
    "data": VideoDataModule,
    "callback": Callback,
}
BUILT_IN = f"clipbench {benchmark.__version__}"
_LIBRARIES = {"lightning", "torch", "torchmetrics", "torchvision", "pytorchvideo"}


@dataclasses.dataclass(frozen=True)
class Plugin:
    """An entry point, loaded or broken.

    Args:
        name: The entry point's.
        module: Dotted name of the module it names.
        origin: Package and version that declares it.
        loaded: What it names, or None if that cannot be imported.
        error: Why not, in one line.
        added: Classes below one of `KINDS` that importing it made, in whichever module.
        scores: Scores in the module it names.
    """

    name: str
    module: str
    origin: str
    loaded: Any = None
    error: str | None = None
    added: tuple[type[Any], ...] = ()
    scores: tuple[Score, ...] = ()


@dataclasses.dataclass(frozen=True)
class Offered:
    """A class that the command line knows by its short name.

    Args:
        kind: Key of `KINDS`.
        cls: The class.
        origin: Package and version it comes from.
    """

    kind: str
    cls: type[Any]
    origin: str


@functools.cache
def load_plugins() -> tuple[Plugin, ...]:
    """Import every plugin, once a process; one that cannot be imported is named on stderr, and the others go on."""
    found = []
    for declared in declared_plugins():
        before, known = set(sys.modules), _known()
        name, module, origin = declared.name, declared.module, declared.origin
        try:
            loaded = declared.entry.load()
            scores = add_scores(importlib.import_module(module))
        except (Exception, SystemExit) as error:
            plugin = Plugin(name, module, origin, error=one_line(error))
            said = left_out(declared, error)
        else:
            found.append(Plugin(name, module, origin, loaded, added=tuple(_known() - known), scores=scores))
            continue
        found.append(plugin)
        _forget(module.partition(".")[0], set(sys.modules) - before)
        gc.collect()
        if int(os.environ.get("LOCAL_RANK", "0")) == 0:
            print(said, file=sys.stderr)
    return tuple(found)


def _known() -> set[type[Any]]:
    return {cls for base in KINDS.values() for cls in usable_subclasses(base)}


def _forget(package: str, imported: Collection[str]) -> None:
    """Leave nothing of what a plugin made before it broke, in it or in modules of its package.

    Args:
        package: Top-level name of the plugin's module.
        imported: Names of the modules that have come since it was begun.
    """
    for name in sorted(imported):
        parent, _, child = name.rpartition(".")
        # A package that breaks leaves the modules that it had imported already.
        is_orphan = bool(parent) and parent not in sys.modules
        if name.partition(".")[0] == package or is_orphan:
            del sys.modules[name]
            vars(sys.modules.get(parent, ModuleType(parent))).pop(child, None)


def offered(plugins: Sequence[Plugin]) -> list[Offered]:
    """The built-in classes and those of the plugins.

    Raises:
        UserError: If two have one name.
    """
    found = [
        Offered(kind, cls, origin)
        for kind, base in KINDS.items()
        for cls in usable_subclasses(base)
        if (origin := _origin_of(cls, plugins)) is not None
    ]
    # Lightning's callbacks have short names too, though they are not listed.
    held: dict[tuple[str, str], str] = {
        ("callback", cls.__name__): "lightning"
        for cls in usable_subclasses(Callback)
        if cls.__module__.startswith("lightning.")
    }
    for entry in sorted(found, key=lambda entry: entry.origin != BUILT_IN):
        name = (entry.kind, entry.cls.__name__)
        place = f"{entry.cls.__module__} of {entry.origin}"
        if name in held:
            raise UserError(
                f"two classes are called {entry.cls.__name__}: in {held[name]} and in {place}; "
                "rename one of them, or uninstall the package that adds it"
            )
        held[name] = place
    return found


def _origin_of(cls: type[Any], plugins: Sequence[Plugin]) -> str | None:
    """Package and version that offers a class; None for those of libraries below the suite and of the user's files."""
    top = cls.__module__.partition(".")[0]
    if top == "benchmark":
        return BUILT_IN
    if top in _LIBRARIES:
        return None
    sound = [plugin for plugin in plugins if plugin.error is None]
    # The module says more than who imported it first: one plugin may build on another.
    around = [plugin for plugin in sound if f"{cls.__module__}.".startswith(f"{plugin.module}.")]
    adding = [plugin for plugin in sound if cls in plugin.added]
    nearest = sorted(around, key=lambda plugin: len(plugin.module))[-1:] or adding
    return nearest[0].origin if nearest else None


def verbs(plugins: Sequence[Plugin], taken: Collection[str]) -> dict[str, ModuleType]:
    """Verbs that plugins add.

    Args:
        plugins: The plugins.
        taken: The suite's own verbs.

    Raises:
        UserError: If a verb is added that is there already.
    """
    held = dict.fromkeys(taken, BUILT_IN)
    found: dict[str, ModuleType] = {}
    for plugin in plugins:
        if not (isinstance(plugin.loaded, ModuleType) and hasattr(plugin.loaded, "SUMMARY")):
            continue
        if plugin.name in held:
            raise UserError(
                f"two verbs are called {plugin.name}: of {held[plugin.name]} and of {plugin.origin}; "
                "rename one of the entry points, or uninstall the package that adds it"
            )
        held[plugin.name] = plugin.origin
        found[plugin.name] = plugin.loaded
    return found


def usable_subclasses(base: type[Any]) -> list[type[Any]]:
    """Public classes below a class that can be instantiated, once each, by name."""
    usable = [cls for cls in subclasses(base) if not cls.__name__.startswith("_") and not _is_abstract(cls)]
    return sorted(usable, key=lambda cls: (cls.__name__, cls.__module__))


def _is_abstract(cls: type[Any]) -> bool:
    # Lightning's classes have an ordinary metaclass, for which `inspect.isabstract` never holds.
    held: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        held.update(vars(base))
    return any(getattr(value, "__isabstractmethod__", False) for value in held.values())


def load_class(class_path: str, base: type[Any]) -> Any:
    """The class of a short name or of a path such as `my_file.MyModel`.

    Raises:
        UserError: If it cannot be imported, is not there, or does not derive from `base`.
    """
    module_name, _, name = class_path.rpartition(".")
    if not module_name:
        known = {cls.__name__: cls for cls in usable_subclasses(base)}
        if name not in known:
            alike = nearest(name, known)
            meant = f"did you mean {alike}? There" if alike else "there"
            raise UserError(
                f"there is no {base.__name__} called {name!r}; {meant} are {nearest_names(name, list(known))}. A class "
                "of your own file is named with the file: my_file.MyClass"
            )
        return known[name]
    module = import_module(module_name, class_path)
    found = getattr(module, name, None)
    here = getattr(module, "__file__", None) or module_name
    if found is None:
        names = [cls.__name__ for cls in usable_subclasses(base) if cls.__module__ == module_name]
        raise UserError(f"{class_path}: {here} has no {name}; it has {', '.join(names) or f'no {base.__name__}'}")
    made = found if isinstance(found, type) else _returned(found)
    if made is None or not issubclass(made, base):
        raise UserError(
            f"{class_path} is no {base.__name__}; derive it from {base.__module__}.{base.__name__}, in {here}"
        )
    return found


def _returned(function: object) -> type[Any] | None:
    """The class that a function says it returns; None for what is no such function."""
    try:
        found = typing.get_type_hints(function).get("return")
    except (TypeError, NameError, AttributeError):
        return None
    return found if isinstance(found, type) else None


def require_named_classes(argv: Sequence[str]) -> None:
    """Import the classes that a command line and its configuration files name by path, for one clear message.

    Raises:
        UserError: If one cannot be used, or needs a library that is not installed.
    """
    for part, base in (("model", VideoClassifier), ("data", VideoDataModule)):
        known = {cls.__name__: cls for cls in usable_subclasses(base)}
        for class_path in _class_paths(argv, part):
            library = getattr(known.get(class_path.rpartition(".")[2]), "optional_library", None)
            if library is not None:
                require_extra(library, f"{part} {class_path}")
            if all(word.isidentifier() for word in class_path.split(".")) and class_path not in {"null", "None"}:
                loaded = load_class(class_path, base)
                other = known.get(getattr(loaded, "__name__", ""), loaded)
                if other is not loaded:  # the short name, which configurations use, would mean both
                    raise UserError(
                        f"{class_path} has the name of {other.__module__}.{other.__name__}; rename the class, for "
                        f"example to My{other.__name__}"
                    )


def _class_paths(argv: Sequence[str], part: str) -> Iterator[str]:
    words = [word for argument in argv for word in (argument.split("=", 1) if argument[:2] == "--" else [argument])]
    for option, value in itertools.pairwise(words):
        if option == f"--{part}.class_path" or (option == f"--{part}" and not is_file(value)):
            yield value
        elif option in {"--config", "-c", f"--{part}"}:
            try:
                held = yaml.safe_load(Path(value).read_text("utf-8"))
            except (OSError, ValueError, yaml.YAMLError):
                continue  # the parser says what is wrong with the file
            block = held.get(part, {}) if option != f"--{part}" and isinstance(held, dict) else held
            class_path = block.get("class_path") if isinstance(block, dict) else block
            if isinstance(class_path, str):
                yield class_path
