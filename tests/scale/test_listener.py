"""Nothing that workers said is lost when the work is done."""

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from benchmark.scale.listener import Listener, listening

ROOT = Path(__file__).resolve().parents[2]
_LINES = 40
# As on a busy machine, what reads the workers' lines gets no time until the work is done.
_BUSY = f"""
import signal, threading, time
import psutil, ray
from benchmark.scale.cluster import connected

def speak(mark):
    for number in range({_LINES}):
        print("line", number, flush=True)
    print(mark, flush=True)

with connected(None, 1, 1, 0) as listener:
    (reader,) = [each for each in psutil.Process().children(recursive=True) if "log_monitor.py" in str(each.cmdline())]
    reader.send_signal(signal.SIGSTOP)
    ray.get(ray.remote(speak).remote(listener.mark))
    threading.Timer(2, reader.send_signal, [signal.SIGCONT]).start()
    listener.wait(1)
"""


@pytest.mark.timeout(120)
def test_lines_that_come_after_the_work_are_shown() -> None:
    pytest.importorskip("ray")
    pytest.importorskip("psutil")
    done = subprocess.run(
        [sys.executable, "-c", _BUSY],
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    assert [line.rpartition("line ")[2] for line in shown] == [str(number) for number in range(_LINES)]


def test_marks_are_not_shown_and_all_else_is() -> None:
    shown = io.StringIO()
    listener = Listener(shown)
    for text in ("one\n", f"(worker pid=3) {listener.mark}", "\n", "\n", f"{listener.mark}\n", "two", "\n"):
        listener.write(text)
    assert shown.getvalue() == "one\n\ntwo\n"
    listener.wait(2, seconds=0.0)


def test_it_waits_for_each_worker(capsys: pytest.CaptureFixture[str]) -> None:
    with listening() as listener:
        threading.Timer(0.2, print, [listener.mark]).start()
        listener.wait(1)
        print(listener.mark)
        listener.wait(2, seconds=0.1)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "the last lines of 1 of 2 workers did not come within 0.1 s" in shown.err
