"""A process of a run that is lost or fails takes the others with it, also those that wait for it."""

import socket
from pathlib import Path

import pytest

from benchmark.runs import ranks
from tests.generators.ranks import two_processes

_LINKED = """
from benchmark.runs import ranks
ranks.GRACE_SECONDS = 1.0
together = ranks.EndTogether()
strategy = SimpleNamespace(cluster_environment=SimpleNamespace(main_address="127.0.0.1"))
trainer = SimpleNamespace(world_size=2, global_rank=rank, strategy=strategy)
together.setup(trainer, None, "fit")
"""
_WAIT = "\nwhile True: time.sleep(1)\n"


@pytest.mark.parametrize("lost", [0, 1])
def test_a_killed_process_ends_one_that_waits(tmp_path: Path, lost: int) -> None:
    ended = two_processes(tmp_path, f"{_LINKED}\nif rank == {lost}: os.kill(os.getpid(), signal.SIGKILL){_WAIT}")
    assert ended[lost][0] == -9
    assert ended[1 - lost][0] == 1
    assert f"process {lost} of 2 is lost" in ended[1 - lost][1]


@pytest.mark.parametrize("frozen", [0, 1])
def test_a_frozen_process_ends_one_that_waits(tmp_path: Path, frozen: int) -> None:
    freeze = f"""
if rank == {frozen}:
    if os.fork() == 0:  # its sockets stay open; somebody has to end it
        time.sleep(8)
        os.kill(os.getppid(), signal.SIGKILL)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGSTOP)
"""
    begin = _LINKED.replace("ranks.GRACE", "ranks.BEAT_SECONDS = 0.2\nranks.GRACE")
    ended = two_processes(tmp_path, begin + freeze + _WAIT)
    assert ended[frozen][0] == -9
    assert ended[1 - frozen][0] == 1
    assert f"process {frozen} of 2 does not answer any more; this process ends too" in ended[1 - frozen][1]


def heard(words: bytes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why a process leaves that has heard some words and then nothing, from an end that stays open."""
    monkeypatch.setattr(ranks, "BEAT_SECONDS", 0.01)
    together, said = ranks.EndTogether(), list[str]()
    monkeypatch.setattr(together, "_leave", lambda code, text: said.append(text))
    together._processes = 2
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(words)
        together._listen(ours, 1)
    return said


def test_silence_is_heard_and_a_planned_end_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert heard(b"well\n" * 50, monkeypatch) == ["process 1 of 2 does not answer any more"]
    assert heard(b"well\nwell\nend\n", monkeypatch) == []
    assert heard(b'well\n[2, "process 1 of 2 left: no room"]\nwell\n', monkeypatch) == ["process 1 of 2 left: no room"]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("ranks.UserError('no room left')", 2, "left: no room left"),
        ("ranks.SIGTERMException()", 143, "left: it was stopped by SIGTERM"),
    ],
)
def test_a_reason_reaches_the_other_process(tmp_path: Path, error: str, code: int, said: str) -> None:
    fails = f"\nif rank == 1: together.on_exception(trainer, None, {error})"
    for ended, text in two_processes(tmp_path, _LINKED + fails + _WAIT):
        assert ended == code
        assert f"process 1 of 2 {said}" in text


def test_what_a_broken_collective_says_is_replaced_by_the_reason(tmp_path: Path) -> None:
    code = f"""{_LINKED}
if rank == 1:
    together.on_exception(trainer, None, ranks.UserError("no room left"))
    time.sleep(0.2)
    os._exit(2)
ranks.GRACE_SECONDS = 20.0
try:
    dist.barrier()
except RuntimeError:
    together.refuse()
"""
    assert "UserError: process 1 of 2 left: no room left" in two_processes(tmp_path, code)[0][1]


def test_a_planned_end_ends_nobody_else(tmp_path: Path) -> None:
    code = f"""{_LINKED}
time.sleep(2 * rank)
together.teardown(trainer, None, "fit")
"""
    assert [ended for ended, _ in two_processes(tmp_path, code)] == [0, 0]
