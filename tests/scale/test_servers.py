"""What parameter servers make of changes, against plain arithmetic."""

import numpy as np
import pytest

from benchmark.errors import UserError
from benchmark.scale.downpour import Replica
from benchmark.scale.servers import MomentumAt, Rule, ServerOptions, Servers, SliceServer, Staleness


def changes(count: int = 5, size: int = 7) -> np.ndarray:
    """Of several pushes, (count, size) float32."""
    return np.random.default_rng(3).normal(size=(count, size)).astype(np.float32)


def test_sgd_subtracts_what_is_pushed() -> None:
    server = SliceServer(ServerOptions())
    server.begin(np.ones(7, np.float32))
    for change in changes():
        server.push(0, change, 0.1, 0)
    weights_now = server.fetch()[1]
    assert weights_now is not None
    assert np.allclose(weights_now, 1 - changes().sum(0), atol=1e-6)


def test_momentum_at_the_server_sums_over_pushes() -> None:
    server = SliceServer(ServerOptions(momentum_at="server", momentum=0.5))
    server.begin(np.zeros(7, np.float32))
    weights, velocity = np.zeros(7), np.zeros(7)
    for number, change in enumerate(changes()):
        server.push(number % 2, change, 0.1, 0)
        velocity = 0.5 * velocity + change
        weights = weights - velocity
    weights_now = server.fetch()[1]
    assert weights_now is not None
    assert np.allclose(weights_now, weights, atol=1e-5)


def test_adagrad_divides_by_the_root_of_the_squares_so_far() -> None:
    server = SliceServer(ServerOptions(rule="adagrad", adagrad_rate=0.2))
    server.begin(np.zeros(7, np.float32))
    weights, squares = [0.0] * 7, [0.0] * 7
    for change in changes():
        server.push(0, change * 0.01, 0.01, 0)  # of a replica whose learning rate is 0.01
        for place, gradient in enumerate(change.tolist()):
            squares[place] += gradient**2
            weights[place] -= 0.2 * gradient / squares[place] ** 0.5
    weights_now = server.fetch()[1]
    assert weights_now is not None
    assert np.allclose(weights_now, weights, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_slices_together_are_one_server(count: int) -> None:
    servers = Servers(count, ServerOptions(momentum_at="server"))
    assert servers.fetch() == (0, None)
    servers.begin(np.arange(7, dtype=np.float32))
    one = SliceServer(ServerOptions(momentum_at="server"))
    one.begin(np.arange(7, dtype=np.float32))
    for change in changes():
        servers.push(1, change, 0.1, 0)
        one.push(1, change, 0.1, 0)
    assert servers.fetch()[0] == one.fetch()[0] == 5
    assert np.array_equal(servers.fetch()[1], one.fetch()[1])  # type: ignore[arg-type]


def test_staleness_counts_the_pushes_of_others() -> None:
    server = SliceServer(ServerOptions())
    server.begin(np.zeros(1, np.float32))
    seen = {replica: server.fetch()[0] for replica in range(3)}
    for replica in (0, 1, 2, 0, 1):  # 0, then one other before 1, two before 2, two before 0 again, two before 1 again
        server.push(replica, np.zeros(1, np.float32), 0.1, seen[replica])
        seen[replica] += 1
    said = server.state()
    assert said["pushes"] == 5
    assert said["staleness"] == {0: {0: 1, 2: 1}, 1: {1: 1, 3: 1}, 2: {2: 1}}


def test_staleness_in_numbers() -> None:
    values = np.random.default_rng(4).integers(9, size=200)
    stale = Staleness()
    for value in values.tolist():
        stale.add(value)
    assert stale.pushes == 200
    assert stale.mean == pytest.approx(values.mean())
    for share in (0.05, 0.5, 0.95, 1.0):
        assert stale.percentile(share) == np.percentile(values, 100 * share, method="inverted_cdf")
    assert (Staleness().mean, Staleness().percentile(0.95)) == (0, 0)


@pytest.mark.parametrize(
    ("rule", "place", "more"),
    [("adam", "none", {}), ("sgd", "both", {}), ("adagrad", "server", {}), ("sgd", "server", {"momentum": 1.0})],
)
def test_options_that_mean_nothing_are_refused(rule: Rule, place: MomentumAt, more: dict[str, float]) -> None:
    with pytest.raises(UserError, match="strategy"):
        ServerOptions(rule, place, **more)


@pytest.mark.parametrize(("push_every", "fetch_every"), [(1, 1), (3, 3), (2, 3), (3, 2), (4, 1)])
def test_no_step_of_a_replica_is_lost_or_counted_twice(push_every: int, fetch_every: int) -> None:
    """Two replicas whose steps take known numbers; all that was pushed is gone from the servers' weights."""
    servers = Servers(2, ServerOptions())
    servers.begin(np.zeros(3, np.float32))
    replicas = [Replica(number, servers, push_every, fetch_every) for number in range(2)]
    weights = []
    for replica in replicas:
        begun = replica.fetch(lambda: np.zeros(3, np.float32))
        assert begun is not None
        weights.append(begun.copy())
    taken = np.zeros(3)
    steps = 12  # a multiple of each push_every
    for step in range(steps):
        for number, replica in enumerate(replicas):
            change = np.array([1.0, 10.0 * number, step], np.float32)
            taken += change
            weights[number] = weights[number] - change
            found = replica.step(lambda own=weights[number]: own, 0.1)  # type: ignore[misc]
            assert (found is not None) == ((step + 1) % fetch_every == 0)
            weights[number] = weights[number] if found is None else found.copy()
    left = servers.fetch()[1]
    assert left is not None
    assert np.allclose(left, -taken)
    assert servers.state()["pushes"] == 2 * steps // push_every
