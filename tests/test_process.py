"""What holds for a whole process: where nobody reads what it prints, it works on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmark.process import outliving_readers
from tests.generators.small_test import options

ROOT = Path(__file__).parents[1]


def test_what_nobody_reads_any_more_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    reads, writes = os.pipe()
    with os.fdopen(writes, "w", buffering=1) as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        with outliving_readers():
            print("read")
            assert os.read(reads, 100) == b"read\n"
            os.close(reads)
            for _ in range(3):
                print("lost")
            sys.stdout.writelines(["lost", "too"])
            sys.stdout.flush()
        assert sys.stdout is stream
    assert capfd.readouterr().err == "clipbench: nobody reads the output any more; the work goes on\n"


def test_a_fit_goes_on_where_nobody_reads_its_lines(small_set: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmark", "fit", *options(small_set, tmp_path / "run", report=False)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(timeout=240) == 0, said
    assert said.count("nobody reads the output any more") == 1  # and it had more to say
    steps = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert steps == 8  # of 32 clips, one epoch
