"""Files that come with the package: the configurations of conf/, each known by its name, and the paper's tables.

In a checkout they are folders beside the package, and in an installed wheel folders inside it.
"""

import contextlib
import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

import benchmark
from benchmark.errors import UserError
from benchmark.yaml_text import read_yaml

_LONG = 10_000  # characters of a value above which it is looked at whatever it holds
_CONFIG_OPTIONS = ("--config", "-c")
_DATA = "data/"
_NEAREST, _LEAST_ALIKE = 3, 0.5


def shipped_folder(name: str) -> Path:
    """The folder `conf` or `leaderboards` that came with the package."""
    package = Path(benchmark.__file__).parent
    installed = package / name
    return installed if installed.is_dir() else package.parent / name


def configurations() -> dict[str, Path]:
    """File of every shipped configuration by its name, such as `multires` and `data/ucf101`."""
    root = shipped_folder("conf")
    files = sorted(root.rglob("*.yaml"), key=lambda path: (len(path.relative_to(root).parts), path))
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in files}


def configuration(name: str) -> Path:
    """The file of a shipped configuration.

    Raises:
        UserError: If none has this name, with the nearest ones.
    """
    known = configurations()
    if name not in known:
        raise UserError(f"no configuration called {name!r} comes with clipbench; {_nearest(name, known)}")
    return known[name]


def is_file(word: str) -> bool:
    """Whether a word of a command line names something to read; a pipe does, too."""
    try:
        return Path(word).exists() and not Path(word).is_dir()
    except (OSError, ValueError):  # a value in JSON is no path, and may be too long for one
        return False


def configuration_file(word: str, option: str = "--config") -> str:
    """The file that a path or the name of a shipped configuration means; what is no file at all stays as it is.

    Args:
        word: A file, which wins over a name; a name; or a value or, after --data and --model, a class.
        option: By which the word was given.

    Raises:
        UserError: If there is neither a file nor a configuration of that name, with the nearest names; or the file
            is no YAML, or has a key twice.
    """
    if is_file(word):
        try:
            held = read_yaml(Path(word).read_text("utf-8"), f"{option} {word}")
        except UnicodeDecodeError:
            raise UserError(f"{option} {word} is not text in UTF-8; save it as such") from None
        except yaml.YAMLError as error:
            raise UserError(f"{option} {word} is not YAML{_place(error)}") from None
        if option in _CONFIG_OPTIONS and not isinstance(held, dict) and Path(word).is_file():
            kind = "nothing" if held is None else f"a {type(held).__name__}"
            raise UserError(f"{option} {word} holds {kind}; it must hold options with values, as `model: SingleFrame`")
    if is_file(word) or option == "--model" or word == "-" or "://" in word or any(sign in word for sign in "{[\n"):
        return word
    known = configurations()
    if option not in _CONFIG_OPTIONS:
        known = {name: path for name, path in known.items() if name.startswith(_DATA)}
    if option == "--data" and word not in known and f"{_DATA}{word}" in known:
        word = f"{_DATA}{word}"
    if word in known:
        return str(known[word])
    is_path = "/" in word or word.endswith((".yaml", ".yml", ".json"))
    if option not in _CONFIG_OPTIONS and not is_path:
        return word  # a class
    raise UserError(
        f"{option} {word}: there is no such file, and no configuration of that name comes with clipbench; "
        f"{_nearest(word, known)}"
    )


def _place(error: yaml.YAMLError) -> str:
    """Where a text ceases to be YAML, and why, on one line."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f": {' '.join(str(error).split())}"
    mark = error.problem_mark
    lines = (mark.buffer or "").rstrip("\0").splitlines()
    text = lines[mark.line].strip() if mark.line < len(lines) else ""
    tab = "; indent by spaces" if "'\\t'" in str(error.problem) else ""
    shown = f", `{text[:60]}`" if text else ""
    return f" in line {mark.line + 1}, column {mark.column + 1}{shown}: {error.problem}{tab}"


def with_files(words: Sequence[str]) -> list[str]:
    """A command line with the files of shipped configurations in place of their names after --config and --data.

    Raises:
        UserError: If a name is unknown.
    """
    found: list[str] = []
    option = ""
    for word in words:
        head, sign, value = word.partition("=")
        if sign and head.startswith("--"):
            _require_plain(value, head)
        elif found and found[-1].startswith("--") and "=" not in found[-1]:
            _require_plain(word, found[-1])
        if option and not word.startswith("--"):
            found.append(configuration_file(word, option))
        elif sign and _takes_file(head):
            found.append(f"{head}={configuration_file(value, head)}")
        else:
            found.append(word)
        option = word if _takes_file(word) else ""
    return found


def _require_plain(value: str, option: str) -> None:
    """Refuse a value that says one thing twice, or grows; what is no YAML is the parser's to refuse."""
    if any(sign in value for sign in "{[&\n") or len(value) > _LONG:
        with contextlib.suppress(yaml.YAMLError):
            read_yaml(value, option)


def _takes_file(option: str) -> bool:
    return option in {*_CONFIG_OPTIONS, "--data", "--model"}


def _nearest(word: str, names: Iterable[str]) -> str:
    asked = word.removeprefix("./").removeprefix("conf/")
    asked = asked.removesuffix(".yaml").removesuffix(".yml")

    def likeness(name: str) -> float:
        ends = (name, name.rpartition("/")[2])
        return max(difflib.SequenceMatcher(None, asked, end).ratio() for end in ends)

    alike = sorted((name for name in names if likeness(name) >= _LEAST_ALIKE), key=likeness, reverse=True)
    hint = f"the nearest: {', '.join(alike[:_NEAREST])}; " if alike else ""
    return f"{hint}`clipbench configs` lists them all"
