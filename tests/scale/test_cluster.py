from typing import Any

import pytest

from benchmark.errors import UserError
from benchmark.scale.cluster import connected, require_room

SMALL, LARGE = {"CPU": 4.0}, {"CPU": 16.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("machines", "workers", "cpus", "gpus", "room"),
    [
        ([SMALL, SMALL], 1, 8, 0, 0),
        ([SMALL, SMALL], 2, 3, 0, 2),
        ([SMALL, SMALL], 3, 2.5, 0, 2),
        ([SMALL], 40, 0.1, 0, 40),
        ([SMALL, LARGE], 2, 1, 1, 2),
        ([SMALL, LARGE], 3, 1, 1, 2),
        ([SMALL, LARGE], 2, 12, 1, 1),
        ([], 1, 1, 0, 0),
    ],
)
def test_a_worker_lies_on_one_machine(
    machines: list[dict[str, float]], workers: int, cpus: float, gpus: float, room: int
) -> None:
    if room >= workers:
        require_room(machines, workers, cpus, gpus)
        return
    with pytest.raises(UserError, match=rf"--workers is {workers}, each with .* room for {room} "):
        require_room(machines, workers, cpus, gpus)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (None, "Ray could not be started on this machine: The current node timed out during startup"),
        ("host:1", "--address is host:1, where no cluster answers: The current node timed out during startup"),
    ],
)
def test_a_start_that_fails_is_told_from_an_address(
    address: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")

    def init(**options: Any) -> None:
        raise Exception("The current node timed out during startup.")  # as Ray does

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(UserError, match=said), connected(address, 1, 1, 0):
        pass
