"""What is refused of a command line before torch is imported, which takes seconds: slips of typing, files not there."""

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from benchmark.class_options import nearest
from benchmark.command_line import GROUPS, NAMES_ELSEWHERE
from benchmark.errors import UserError, needs_checkpoint, no_such_checkpoint, no_such_video, not_a_folder
from benchmark.shipped import configuration_file, shipped_folder, with_files
from benchmark.verbs import TRAINER_VERBS

_CONFIG = frozenset({"--config", "-c"})
_WITH_CONFIGURATION = frozenset({*TRAINER_VERBS, "audit", "evaluate", "histograms", "reproduce", "speed", "transfer"})

OPTIONS_OF_VERBS: dict[str, tuple[str, ...]] = {
    "checkpoint": ("fit",),
    "transfer": ("fit",),
    "optimizer": ("fit",),
    "lr_scheduler": ("fit",),
    "allow_contaminated": ("fit", "test"),
    "report": ("fit", "test"),
    "open": ("fit", "test"),
    "entry_name": ("test",),
    "sample": ("test",),
    "keep_clips": ("test",),
    "predict": ("predict",),
    "figure": ("predict",),
}
"""Options that not every verb has, by the first part of their names, with the verbs that have them."""

OPTIONS_OF_ALL = frozenset(
    {
        *(
            "c",
            "ckpt_path",
            "config",
            "data",
            "h",
            "help",
            "help_all",
            "model",
            "print_config",
            "return_predictions",
            "run_dir",
        ),
        *("seed_everything", "trainer", "verbose", "weights_only"),
    }
)
"""First parts of all other options of Lightning's verbs."""

# Of a process that torchrun, Slurm or a person started among others: those may have the file that this one lacks, or
# have to hear that none has it.
_AMONG_SEVERAL = frozenset({"RANK", "NODE_RANK", "SLURM_STEP_ID"})
_FOLDERS = frozenset({"ucf101", "sports1m", "folder", "videofolder"})  # data whose `root` is a folder


def refuse_early(verb: str, words: Sequence[str], *, runs_here: bool = True) -> None:
    """Refuse what is wrong with the words themselves; what takes a class to tell is refused later.

    Args:
        verb: Any.
        words: Its options.
        runs_here: Whether it runs on this machine, and needs its files.

    Raises:
        UserError: With the first fault.
    """
    # A pipe can be read once, and a request for help is answered whatever else was given.
    if verb not in _WITH_CONFIGURATION or any(map(_is_pipe, words)) or {"-h", "--help", "--help_all"} & {*words}:
        return
    if verb in TRAINER_VERBS:
        require_config_first(words)
    with_files(words)
    if verb in TRAINER_VERBS:
        require_own_options(verb, words)
        _require_known_options(verb, words)
        is_run = not any(word.partition("=")[0] == "--print_config" for word in words)
        if is_run and runs_here and not _AMONG_SEVERAL & os.environ.keys():
            _require_files(verb, words)


def _is_pipe(word: str) -> bool:
    try:
        return Path(word).is_fifo()
    except (OSError, ValueError):
        return False


def require_config_first(words: Sequence[str]) -> None:
    """Refuse options before a --config that says the same and would replace them, and a --config that is a part alone.

    Raises:
        UserError: With the order to write.
    """
    given: list[str] = []
    option = ""
    for word in words:
        head, sign, value = word.partition("=")
        if option in _CONFIG or (sign and head in _CONFIG):
            _require_not_replaced(given, word if option in _CONFIG else value)
        elif head.startswith("--"):
            given.append(head)
        option = "" if sign else word


def _require_not_replaced(given: Sequence[str], name: str) -> None:
    try:
        held = yaml.safe_load(Path(configuration_file(name)).read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return  # the parser says what is wrong with it
    if not isinstance(held, dict):
        return
    if "class_path" in held:
        raise UserError(
            f"--config {name} holds a part of an experiment alone, {held['class_path']}; name an experiment, and the "
            f"part after it: --config multires --data {name} (--model where it is a network)"
        )
    for option in given:
        if _says(held, option.removeprefix("--").split(".")):
            raise UserError(
                f"{option} comes before --config {name}, which says the same and would replace it; write --config "
                f"first: --config {name} {option} ..."
            )


def _says(held: object, path: Sequence[str]) -> bool:
    """Whether a configuration says what an option does, or a class that the option belongs to."""
    for part in path:
        if not isinstance(held, dict) or "class_path" in held:
            return True
        if part not in held:
            return False
        held = held[part]
    return True


def require_own_options(verb: str, words: Sequence[str]) -> None:
    """Refuse options of other verbs, which would do nothing.

    Raises:
        UserError: With the verbs that have the option.
    """
    for word in words:
        option = word.partition("=")[0]
        verbs = OPTIONS_OF_VERBS.get(_first(option)) if option.startswith("--") else None
        if verbs is not None and verb not in verbs:
            raise UserError(f"{option} is an option of {' and '.join(verbs)}, and does nothing in {verb}; leave it out")


def _require_known_options(verb: str, words: Sequence[str]) -> None:
    """Refuse options whose first part no option of the verb has, with the one that was probably meant."""
    parts = OPTIONS_OF_ALL | {part for part, verbs in OPTIONS_OF_VERBS.items() if verb in verbs}
    elsewhere = {name: option for name, option in NAMES_ELSEWHERE.items() if option.partition(".")[0] in parts}
    for word in words:
        name = word.partition("=")[0].removeprefix("--").replace("-", "_")
        if not word.startswith("--") or _first(word) in parts or not name:
            continue
        head, dot, rest = name.partition(".")
        meant = nearest(head, sorted(parts if dot else parts | {*elsewhere}))
        option = f"{meant}.{rest}" if dot else elsewhere.get(meant or "", meant)
        if dot and GROUPS.get(head) in parts:
            meant, option = head, f"{GROUPS[head]}.{name}"
        hint = f"; did you mean --{option}?" if meant else "."
        raise UserError(f"{word} is no option{hint} `clipbench {verb} --help_all` lists what there is")


def _require_files(verb: str, words: Sequence[str]) -> None:
    """Refuse files and folders that are not there, and a verb without its checkpoint."""
    given = _values(words)
    checkpoint = given.get("--ckpt_path")
    if checkpoint not in {None, "", "auto", "last", "best"} and not Path(str(checkpoint)).is_file():
        raise no_such_checkpoint(str(checkpoint), str(checkpoint))
    if verb != "fit" and checkpoint is None and _needs_checkpoint(words, given):
        raise needs_checkpoint(verb)
    videos = given.get("--predict.videos", "")
    if videos and videos[0] not in "[{\"'" and not Path(videos).exists() and videos != "null":
        raise no_such_video("--predict.videos", videos)
    root, data = given.get("--data.root"), Path(given.get("--data", "")).stem.rpartition(".")[2]
    if root and data.casefold() in _FOLDERS and not Path(root).is_dir():
        raise not_a_folder(root)


def _needs_checkpoint(words: Sequence[str], given: dict[str, str]) -> bool:
    """Whether the networks are shipped configurations' alone, of which the average needs none."""
    if "--model" in given or not _CONFIG & {*given} or any("." in option for option in given):
        return False  # of an option with parts the parser says first whether it is one
    files = [Path(configuration_file(value)) for option, value in _pairs(words) if option in _CONFIG]
    shipped = shipped_folder("conf").resolve()
    if not all(shipped in file.resolve().parents for file in files):
        return False
    return not any(name in file.read_text("utf-8") for file in files for name in ("ckpt_path", "Average"))


def _values(words: Sequence[str]) -> dict[str, str]:
    """The last value of each option."""
    return dict(_pairs(words))


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    """Options with their values."""
    found = []
    for place, word in enumerate(words):
        option, sign, value = word.partition("=")
        if word.startswith("-"):
            after = words[place + 1] if place + 1 < len(words) else ""
            found.append((option, value if sign else after))
    return found


def _first(option: str) -> str:
    return option.removeprefix("--").partition("=")[0].partition(".")[0]
