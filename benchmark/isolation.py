"""Runs a verb in a process that reaches no network.

Where the system lets a process have a network of its own, there is nothing behind it. Elsewhere Python refuses to open
connections, which code outside Python can get around; whoever asks for isolation is told which of the two it was.
"""

import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Literal

Isolation = Literal["a network namespace of its own", "connections refused by Python alone"]

_PROGRAM = """\
import sys
from benchmark.isolation import refuse_connections
refuse_connections()
from benchmark.cli import main
sys.exit(main())
"""
_REACHING = {"connect", "bind", "sendto", "sendmsg", "getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo"}


def isolated(words: Sequence[str]) -> tuple[list[str], Isolation]:
    """The command that runs a verb without a network, and how it is kept from one.

    Args:
        words: The verb and its options.
    """
    command = [sys.executable, "-c", _PROGRAM, *words]
    program = shutil.which("unshare")
    for options in (["--net"], ["--map-root-user", "--net"]) if program else ():
        done = subprocess.run([str(program), *options, "true"], capture_output=True, check=False)
        if not done.returncode:
            return [str(program), *options, *command], "a network namespace of its own"
    return command, "connections refused by Python alone"


def refuse_connections() -> None:
    """Let every attempt of this process to reach another machine fail, for good; sockets within the system stay."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        head, _, what = event.partition(".")
        if head != "socket" or what not in _REACHING:
            return
        family = getattr(arguments[0], "family", None) if arguments else None
        if family is None or family != getattr(socket, "AF_UNIX", None):
            raise PermissionError(f"no network here: {event} is refused")

    sys.addaudithook(refuse)
