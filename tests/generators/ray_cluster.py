"""A Ray cluster in a process of its own.

A process that has started one keeps objects of it whose end in a copy of the process, as a loader worker is, may crash
that (seen with Ray 2.60 on Python 3.13); users start clusters by `ray start` or in the process of a verb.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any


class RayCluster:
    """Machines that work, beside one that keeps them together.

    Args:
        process: Which has started them.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.address = self._answer()

    def lose(self, node: str) -> None:
        """Let a machine be gone from one moment to the next."""
        assert self._process.stdin is not None
        print(node, file=self._process.stdin, flush=True)
        assert self._answer() == node

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("cluster: "):
                return line.removeprefix("cluster: ").strip()
        raise AssertionError("the cluster has ended")


@contextlib.contextmanager
def ray_cluster(head_cpus: int, workers: int) -> Iterator[RayCluster]:
    """A cluster of processes on this machine.

    Args:
        head_cpus: Processors of the first machine.
        workers: Further machines, of one processor each.
    """
    command = [sys.executable, __file__, str(head_cpus), str(workers)]
    # Beside other work its workers would hardly run.
    environment = {**os.environ, "RAY_worker_niceness": "0", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            yield RayCluster(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)


def _main(arguments: Sequence[str]) -> None:
    from ray.cluster_utils import Cluster

    made: Any = Cluster(
        initialize_head=True, head_node_args={"num_cpus": int(arguments[0]), "include_dashboard": False}
    )
    for _ in range(int(arguments[1])):
        made.add_node(num_cpus=1)
    print(f"cluster: {made.address}", flush=True)
    for line in sys.stdin:
        (node,) = (each for each in made.worker_nodes if each.node_id == line.strip())
        made.remove_node(node, allow_graceful=False)
        print(f"cluster: {node.node_id}", flush=True)
    made.shutdown()


if __name__ == "__main__":
    _main(sys.argv[1:])
