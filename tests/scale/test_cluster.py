import pytest

from benchmark.errors import UserError
from benchmark.scale.cluster import require_room

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
