"""Runs fit, validate, test or predict on the workers of a Ray cluster, or a grid's cells as its tasks."""

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark.command_line import Parser
from benchmark.commands import command
from benchmark.early_checks import refuse_early
from benchmark.errors import UserError
from benchmark.extras import require_extra
from benchmark.verbs import TRAINER_VERBS

_GRIDS = ("evaluate", "transfer", "reproduce")
_RUN_NOTHING = frozenset({"-h", "--help", "--list", "--report", "--tables"})
"""Options of grids with which no cell is run, so that no cluster is needed."""
_EPILOG = """After the options comes a verb with its own, as without `launch`: clipbench launch --workers 8 --gpus 1 fit
--config slow_fusion --run_dir /shared/runs/slow. Each worker is a process with --cpus processors and --gpus GPUs of the
cluster, wherever they are. A worker that is lost, with its machine or alone, is replaced up to --failures times, and
the fit goes on from its last checkpoint with the same clips; the same command again does so too. Machines need not
share the run folder; --store URL keeps a checkpoint an epoch elsewhere, for when all are lost. With --downpour the
workers are replicas that never wait for each other, and do share the run folder: --downpour '{"push_every": 5,
"fetch_every": 5, "momentum_at": "none"}'. evaluate, transfer and reproduce run a cell a task, --workers of them at a
time; their machines share the folder. What is finished is reported here at the end, and a cell that failed is tried
again by the same command."""


def main(argv: Sequence[str]) -> int:
    """Run `launch --workers N VERB [options]` and return the exit code."""
    verbs = (*TRAINER_VERBS, *_GRIDS)
    place = next((number for number, word in enumerate(argv) if word in verbs), len(argv))
    chosen = _parser().parse_args(list(argv[:place]))
    if place == len(argv):
        raise UserError(f"launch needs a verb after its options: one of {', '.join(verbs)}")
    is_finite = math.isfinite(chosen.cpus) and math.isfinite(chosen.gpus)
    if not is_finite or chosen.workers < 1 or chosen.cpus <= 0 or chosen.gpus < 0 or chosen.failures < 0:
        raise UserError(
            f"--workers is {chosen.workers}, --cpus {chosen.cpus:g}, --gpus {chosen.gpus:g} and --failures "
            f"{chosen.failures}; they must be numbers, the first 1 or more, the second above 0, the others 0 or more"
        )
    if argv[place] in _GRIDS:
        _require_for_grid(argv[place], argv[place + 1 :], chosen)
    refuse_early(argv[place], argv[place + 1 :], runs_here=False)
    if argv[place] in _GRIDS and _RUN_NOTHING & {*argv[place + 1 :]}:
        shown: int = command(argv[place]).main(argv[place + 1 :])
        return shown
    require_extra("ray", "launch")
    if argv[place] in _GRIDS:
        return _grid(argv[place], tuple(argv[place + 1 :]), chosen)
    return _launch(argv[place], argv[place + 1 :], chosen)


def _require_for_grid(verb: str, words: Sequence[str], chosen: argparse.Namespace) -> None:
    names_cell = any(word.partition("=")[0] == "--cell" for word in words)
    if chosen.downpour is not None or chosen.store is not None or names_cell:
        raise UserError(f"--downpour and --store are for fit, and launch chooses --cell of {verb}; leave them out")


def _launch(verb: str, words: Sequence[str], chosen: argparse.Namespace) -> int:
    from benchmark.runs.folder import require_local
    from benchmark.scale.cluster import connected, run_job, run_replicas  # these import torch
    from benchmark.scale.owner import claim
    from benchmark.scale.workers import Job, parameters_of

    if verb == "fit" and parameters_of(words, "--ckpt_path") is not None:
        raise UserError("launch goes on with --run_dir by itself; leave out --ckpt_path, or fit without launch")
    named = parameters_of(words, "--run_dir")
    if named is None:
        raise UserError("launch needs --run_dir after the verb: a folder that every machine can make and write to")
    if parameters_of(words, "--trainer.strategy") is not None:
        raise UserError("launch chooses --trainer.strategy; leave it out, or start the processes by torchrun or srun")
    if chosen.downpour is not None and verb != "fit":
        raise UserError(f"--downpour is for fit; leave it out, or let the verb be fit in place of {verb}")
    if chosen.downpour is not None:
        _require_downpour(chosen.downpour)
    require_local(Path(named), "--run_dir")
    with connected(chosen.address, chosen.workers, chosen.cpus, chosen.gpus) as listener:
        # The last value counts, so that a worker takes the whole path.
        job = Job(
            verb,
            tuple(words),
            Path(named).absolute(),
            Path.cwd(),
            chosen.store is not None,
            tuple(path or str(Path.cwd()) for path in sys.path),
            listener.mark,
        )
        if chosen.downpour is not None:
            refused = run_replicas(
                job,
                listener,
                chosen.downpour,
                replicas=chosen.workers,
                cpus=chosen.cpus,
                gpus=chosen.gpus,
                failures=chosen.failures,
            )
        else:
            if chosen.store is not None:
                claim(chosen.store, job.run_dir)
            refused = run_job(
                job,
                listener,
                workers=chosen.workers,
                cpus=chosen.cpus,
                gpus=chosen.gpus,
                failures=chosen.failures,
                store=chosen.store,
            )
    if refused is not None:
        raise UserError(refused)
    return 0


def _require_downpour(text: str) -> None:
    """Refuse options of Downpour that a replica would refuse, before there is one."""
    from benchmark.scale.downpour import server_options  # imports torch

    example = """give an object such as '{"push_every": 5, "fetch_every": 5}'"""
    try:
        options = json.loads(text)
    except ValueError as error:
        raise UserError(f"--downpour is {text}, which is no JSON ({error}); {example}") from None
    if not isinstance(options, dict):
        raise UserError(f"--downpour is {text}, which is no object; {example}")
    parser = Parser(prog="clipbench launch --downpour", exit_on_error=False)
    parser.add_function_arguments(server_options)
    try:
        server_options(**parser.parse_object(options).as_dict())
    except (ValueError, argparse.ArgumentError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"--downpour is {text}: {said}") from None


def _grid(verb: str, words: tuple[str, ...], chosen: argparse.Namespace) -> int:
    """Run the cells as tasks, and then report here, where no cell is run.

    Some cells of `reproduce` wait for others: while any is finished, those are tried again. What failed, was refused or
    lost is not.
    """
    from benchmark.grid.cells import NOT_RUN
    from benchmark.scale.cluster import connected, run_cells  # imports torch
    from benchmark.scale.workers import cell_states

    module = command(verb)
    code: int = module.main(words, "check")
    if code:  # it was interrupted
        return code
    most: int = chosen.workers
    states = cell_states(module.main, words)
    # Others are finished, or not part of this version.
    left = [cell for cell, state in states.items() if state in (NOT_RUN, "unfinished", "failed")]
    if left:
        with connected(chosen.address, most if chosen.address is None else 1, chosen.cpus, chosen.gpus) as listener:
            while left:
                tried = run_cells(
                    module.main,
                    words,
                    left,
                    listener,
                    workers=most,
                    cpus=chosen.cpus,
                    gpus=chosen.gpus,
                    failures=chosen.failures,
                )
                goes_on = "finished" in tried.values()
                left = [cell for cell, state in tried.items() if goes_on and state == NOT_RUN]
    code = module.main(words, "report")
    return code


def _whole(text: str) -> int:
    """A number in digits; YAML takes 2:3 for one, too."""
    return int(text)


def _parser() -> Parser:
    parser = Parser(
        prog="clipbench launch",
        usage="clipbench launch --workers N [options] VERB [options of the verb]",
        description=__doc__,
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("--workers", type=_whole, required=True, help="How many.")
    add(
        "--address",
        type=str | None,
        default=os.environ.get("RAY_ADDRESS"),
        help="Of a cluster that runs, `auto` for that of this machine; without it one is started here for the job.",
    )
    add("--cpus", type=float, default=1.0, help="Processors of each worker.")
    add("--gpus", type=float, default=0.0, help="GPUs of each worker.")
    add("--failures", type=int, default=3, help="How often lost workers are replaced.")
    add("--downpour", nargs="?", const="{}", metavar="OPTIONS", help="Fit by Downpour SGD, with its options as JSON.")
    add("--store", type=str | None, help="Folder or URL (s3://bucket/run) that keeps a checkpoint of each epoch too.")
    return parser
