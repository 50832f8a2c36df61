"""The one command line: Lightning's verbs fit, validate, test and predict, and the suite's own, looked up when called.

python -m benchmark fit --config multires

What only reads results imports neither torch nor Lightning.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import benchmark
from benchmark.added_scores import take_scores, take_scores_of_packages
from benchmark.class_options import nearest
from benchmark.commands import command
from benchmark.early_checks import refuse_early
from benchmark.encoding import use_utf8
from benchmark.errors import UserError, printable
from benchmark.importing import declared_plugins
from benchmark.messages import for_the_user
from benchmark.process import end_with_starter, outliving_readers, tune_process
from benchmark.verbs import COMMANDS, READING_RESULTS, TRAINER_VERBS, WORKING
from benchmark.wording import wrapped

_ALIASES = {
    "train": "fit",
    "eval": "test",
    "infer": "predict",
    "inference": "predict",
    "list": "configs",
    "-V": "--version",
}
"""What other programs call them."""


def usage(commands: Mapping[str, str]) -> str:
    """What the command line offers, one line a verb."""
    lines = "\n".join(f"  {name:16s}{summary}" for name, summary in {**TRAINER_VERBS, **commands}.items())
    return f"""usage: clipbench VERB [options]

Trains and tests video classifiers; `python -m benchmark` is the same as `clipbench`. The verb comes first:
{lines}

`clipbench VERB --help` lists the options of a verb, `clipbench --version` says which version this is. Every verb also
takes --scores my_file.MY_SCORE, which adds a score of your own to all that it shows."""


def run(argv: Sequence[str]) -> int:
    """Run one verb; errors that a user can cause come out as `UserError` or `SystemExit`."""
    if list(argv) == ["--version"]:
        print(f"clipbench {benchmark.__version__}")
        return 0
    verb, rest = (argv[0], take_scores(argv[1:])) if argv else ("", [])
    if verb in READING_RESULTS:
        take_scores_of_packages()
        code: int = command(verb).main(rest)
        return code
    refuse_early(verb, rest)
    added = _verbs_of_plugins() if declared_plugins() else {}
    if not argv or verb in {"-h", "--help"}:
        print(usage({**COMMANDS, **{name: str(module.SUMMARY) for name, module in added.items()}}))
        return 0 if argv else 2
    _require_training(verb)
    tune_process()
    if verb in TRAINER_VERBS:
        _train()(verb, rest)
        return 0
    if verb in COMMANDS or verb in added:
        code = (added.get(verb) or command(verb)).main(rest)
        return code
    known = [*TRAINER_VERBS, *COMMANDS, *added]
    if hint := next((word for word in rest if word in known), None):
        moved = " ".join(["python -m benchmark", hint, *(word for word in argv if word != hint)])
        raise UserError(f"{verb!r} is no verb, and the verb comes first; write `{moved}`")
    meant = nearest(verb, [*known, *_ALIASES, "--version", "--help"])
    meant = _ALIASES.get(meant or "", meant)
    asked = f"did you mean {meant}? There" if meant else "the verb comes first; there"
    raise UserError(f"{verb!r} is no verb; {asked} are {', '.join(known)}")


def _require_training(verb: str) -> None:
    """Refuse what trains or decodes where only what reads results was installed."""
    for library in ("torch", "lightning"):
        if importlib.util.find_spec(library) is None:
            raise UserError(f"{verb} needs {library}, which is not installed; run: pip install clipbench")


def _verbs_of_plugins() -> dict[str, ModuleType]:
    from benchmark.plugins import load_plugins, offered, verbs  # imports torch, as the classes that they add do

    plugins = load_plugins()
    offered(plugins)  # refuses two classes of one name
    return verbs(plugins, (*TRAINER_VERBS, *COMMANDS))


def _train() -> Callable[[str, Sequence[str]], None]:
    from benchmark.training_cli import train  # imports torch and Lightning

    return train


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `python -m benchmark` and `clipbench`; returns the exit code."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # a console script, unlike `python -m`, cannot see the user's own modules
    end_with_starter()
    use_utf8()
    words = sys.argv[1:] if argv is None else argv
    refused = False
    works_long = bool(words) and words[0] in WORKING and not {"-h", "--help", "--list", "--print_config"} & set(words)
    try:
        with outliving_readers() if works_long else contextlib.nullcontext():
            return run(words)
    except BrokenPipeError:  # whoever read the output has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and not isinstance(end.__context__, KeyboardInterrupt):
            raise
        runs = sys.modules.get("benchmark.runs.folder") if list(words[:1]) == ["fit"] else None
        hint = runs.how_to_go_on() if runs is not None else ""
        print(f"clipbench: interrupted{hint}", file=sys.stderr)  # which Lightning ends with another code
        return 128 + signal.SIGINT
    except Exception as error:
        message = for_the_user(error)
        if message is None or os.environ.get("CLIPBENCH_TRACEBACK"):
            raise
        refused = True
        lines = "\n".join(map(printable, message.splitlines()))
        print(wrapped(f"clipbench: {lines}", sys.stderr), file=sys.stderr)
        return 2
    finally:
        runs = sys.modules.get("benchmark.runs.folder")  # which imports torch, and without which no run was begun
        if runs is not None:
            runs.release(refused=refused)
