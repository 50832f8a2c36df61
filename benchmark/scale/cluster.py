"""A Ray cluster for one job: one that runs, or one that is started here and stopped again."""

import contextlib
import importlib
import math
import os
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import UserError
from benchmark.scale.downpour import KEEPER, REPLICA, REPLICAS
from benchmark.scale.engines import let_workers_compete
from benchmark.scale.listener import Listener, listening
from benchmark.scale.servers import Keeper
from benchmark.scale.workers import Grid, Job, replicate, run_cell, work


@contextlib.contextmanager
def connected(address: str | None, workers: int, cpus: float, gpus: float) -> Iterator[Listener]:
    """Connection to a cluster that has what is asked for; what was started here is stopped at the end.

    Args:
        address: Of the cluster; None starts one on this machine, with as many processors as are asked for.
        workers: That are there at the same time.
        cpus: Processors of each.
        gpus: GPUs likewise.

    Returns:
        What knows when all output of the workers was shown.

    Raises:
        UserError: If there is no such cluster, none can be started here, or it is too small.
    """
    ray: Any = importlib.import_module("ray")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")  # which says everything twice
    if address is None:
        let_workers_compete()
    options: dict[str, Any] = {"num_cpus": math.ceil(cpus * workers) + 1} if address is None else {"address": address}
    try:
        ray.init(**options, include_dashboard=False, logging_level="ERROR", configure_logging=False)
    except Exception as error:  # of many classes: for a start that takes too long Ray raises a bare one
        raise _no_cluster(address, error) from error
    try:
        require_room([each["Resources"] for each in ray.nodes() if each["Alive"]], workers, cpus, gpus)
        with listening() as listener:
            yield listener
    finally:
        ray.shutdown()


def _no_cluster(address: str | None, error: Exception) -> UserError:
    said = " ".join(str(error).split())[:300]
    if address is None:
        return UserError(
            f"Ray could not be started on this machine: {said}; try again when it is less busy, or start a cluster "
            "with `ray start --head` and give --address auto"
        )
    return UserError(
        f"--address is {address}, where no cluster answers: {said}; start one with `ray start --head`, or leave the "
        "option out"
    )


def require_room(machines: Sequence[Mapping[str, float]], workers: int, cpus: float, gpus: float) -> None:
    """Refuse workers that a cluster would let wait for ever. A worker lies on one machine.

    Args:
        machines: What each has, as Ray calls it.
        workers: That are there at the same time.
        cpus: Processors of each.
        gpus: GPUs likewise.

    Raises:
        UserError: If there is not room for all of them.
    """
    places = 0
    for held in machines:
        places += min(int(held.get(name, 0) / asked + 1e-9) for name, asked in (("CPU", cpus), ("GPU", gpus)) if asked)
    if places < workers:
        each = "; ".join(f"{held.get('CPU', 0):g} CPUs and {held.get('GPU', 0):g} GPUs" for held in machines)
        raise UserError(
            f"--workers is {workers}, each with {cpus:g} CPUs and {gpus:g} GPUs of one machine, and the cluster has "
            f"room for {places} (its machines: {each or 'none'}); lower --workers, --cpus or --gpus, or add machines "
            "by `ray start --address`"
        )


def run_job(
    job: Job,
    listener: Listener,
    *,
    workers: int,
    cpus: float,
    gpus: float,
    failures: int,
    store: str | None,
) -> str | None:
    """Run a verb on workers of the cluster that this process is connected to.

    Args:
        job: The verb.
        listener: Of the connection.
        workers: How many.
        cpus: Of each.
        gpus: Of each.
        failures: How often workers that are lost are replaced.
        store: Where checkpoints go too; None keeps what Ray has to say in the run folder.

    Returns:
        None, or what the job was refused for.

    Raises:
        UserError: If workers were lost more often than that, or the job failed.
    """
    train: Any = importlib.import_module("ray.train")
    torch: Any = importlib.import_module("ray.train.torch")
    trainer = torch.TorchTrainer(
        work,
        train_loop_config=job,
        torch_config=torch.TorchConfig(backend="nccl" if gpus else "gloo"),
        scaling_config=train.ScalingConfig(
            num_workers=workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": cpus, **({"GPU": gpus} if gpus else {})},
        ),
        run_config=train.RunConfig(
            name="ray" if store is None else job.run_dir.name,
            storage_path=str(job.run_dir) if store is None else store,
            failure_config=train.FailureConfig(max_failures=failures),
            checkpoint_config=train.CheckpointConfig(num_to_keep=1),
        ),
    )
    try:
        refused: str | None = trainer.fit().return_value
        listener.wait(workers)
    except Exception as error:  # of several classes, by what failed
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = lines[-1] if lines else type(error).__name__
        raise UserError(
            f"{job.verb} failed on the workers, {failures} times replaced: {said}; the same command goes on from the "
            "last checkpoint"
        ) from error
    return refused


def run_replicas(
    job: Job, listener: Listener, options: str, *, replicas: int, cpus: float, gpus: float, failures: int
) -> str | None:
    """Run a fit as replicas of Downpour; it is over when the first one is, whatever became of the others.

    Args:
        job: The fit.
        listener: Of the connection.
        options: Of `Downpour`, as JSON.
        replicas: How many.
        cpus: Of each.
        gpus: Of each.
        failures: How often each is replaced where it is lost; a new one goes on from the last checkpoint.

    Returns:
        None, or what the fit was refused for.

    Raises:
        UserError: If the first replica was lost more often than that, or failed.
    """
    ray: Any = importlib.import_module("ray")
    name = f"clipbench-{uuid.uuid4().hex}"
    keeper = ray.remote(num_cpus=0)(Keeper).options(name=name).remote()
    ray.get(keeper.__ray_ready__.remote())  # it is there before anybody asks for it
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(replicate)

    def begin(replica: int) -> Any:
        own = {REPLICA: str(replica), REPLICAS: str(replicas), KEEPER: name}
        own |= {"RANK": str(replica), "LOCAL_RANK": str(replica)}
        return task.options(runtime_env={"env_vars": own}).remote(job, options)

    running = {begin(replica): replica for replica in range(replicas)}
    lost = dict.fromkeys(range(replicas), 0)
    while True:
        done, _ = ray.wait(list(running))
        replica = running.pop(done[0])
        try:
            refused: str | None = ray.get(done[0])
        except Exception as error:  # of several classes, by what became of it
            lost[replica] += 1
            said = " ".join(str(error).split())[-300:]
            if lost[replica] <= failures:
                print(f"replica {replica} is lost ({type(error).__name__}); a new one goes on", flush=True)
                running[begin(replica)] = replica
            elif replica == 0:
                raise UserError(f"the first replica was lost {lost[0]} times: {said}") from error
            continue
        if replica == 0 or refused is not None:
            for other in running:
                ray.cancel(other, force=True)
            listener.wait(1 if replica == 0 else 0)
            return refused


def run_cells(
    grid: Grid,
    words: tuple[str, ...],
    cells: list[int],
    listener: Listener,
    *,
    workers: int,
    cpus: float,
    gpus: float,
    failures: int,
) -> dict[int, str]:
    """Run cells of a grid as tasks, each once.

    Args:
        grid: The verb; all machines share its folder.
        words: Its options.
        cells: Numbers, from 1.
        listener: Of the connection.
        workers: Most cells at a time.
        cpus: Of each.
        gpus: Of each.
        failures: How often a cell whose machine is lost is begun again.

    Returns:
        State of each cell by its number, `refused` or `lost` with the reason.
    """
    ray: Any = importlib.import_module("ray")
    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=failures)(run_cell)
    paths = tuple(path or str(Path.cwd()) for path in sys.path)
    waiting, running, heard = cells[::-1], dict[Any, int](), 0
    states = dict[int, str]()
    while running or waiting:
        while waiting and len(running) < workers:
            cell = waiting.pop()
            running[task.remote(grid, words, cell, Path.cwd(), paths, listener.mark)] = cell
        done, _ = ray.wait(list(running))
        cell = running.pop(done[0])
        try:
            states[cell] = ray.get(done[0])
            heard += 1
        except Exception as error:  # of several classes, by what became of it
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            states[cell] = f"lost ({type(error).__name__}{f': {lines[-1]}' if lines else ''})"
        print(f"cell {cell}: {states[cell]}; {len(running) + len(waiting)} are left", flush=True)
    listener.wait(heard)
    return states
