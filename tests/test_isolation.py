"""A process without a network: nothing is reached, sockets within the system still work."""

import socket
import subprocess
import sys

import pytest

from benchmark.isolation import isolated

TRY = """
import socket, sys
from benchmark.isolation import refuse_connections
if "refuse" in sys.argv:
    refuse_connections()
one, other = socket.socketpair()
one.sendall(b"x")
assert other.recv(1) == b"x"
for attempt in (
    lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", int(sys.argv[1]))),
):
    try:
        attempt()
        print("reached")
    except OSError as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize(("words", "said"), [([], ["reached"] * 2), (["refuse"], ["PermissionError"] * 2)])
def test_python_refuses_to_reach_anything(words: list[str], said: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        command = [sys.executable, "-c", TRY, port, *words]
        shown = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=120).stdout
    assert shown.split() == said


def test_a_verb_runs_without_a_network_and_says_how() -> None:
    command, how = isolated(["--version"])
    assert how == (
        "a network namespace of its own" if "unshare" in command[0] else "connections refused by Python alone"
    )
    shown = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=120).stdout
    assert shown.startswith("clipbench ")
