"""Runs over two machines that share no file system: both go on, or both end with one message."""

from pathlib import Path

import pytest
import torch
from pyarrow import parquet

from benchmark.models.stored import read_checkpoint
from tests.generators.machines import machines
from tests.generators.small_test import VIDEOS, options

_SHARED = ["--trainer.num_nodes", "2", "--trainer.devices", "1", "--trainer.strategy", "ddp"]
_CACHES = Path("/dev/shm")


def fit(small_set: Path, *more: str, run: str = "run") -> list[str]:
    return ["fit", *options(small_set, Path(run), *_SHARED, "--data.cache", "memory", *more)]


def in_memory() -> set[Path]:
    return set(_CACHES.glob("clipbench-*/*"))


@pytest.fixture(scope="module")
def trained(small_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two machines on which a run of one epoch was begun by `--ckpt_path auto`; the first one has its checkpoints."""
    folder, before = tmp_path_factory.mktemp("machines"), in_memory()
    for code, said in machines(folder, [fit(small_set, "--ckpt_path", "auto")] * 2):
        assert code == 0, said
    assert in_memory() <= before
    assert (folder / "machine0/run/checkpoints/last.ckpt").is_file()
    assert not (folder / "machine1/run/checkpoints/last.ckpt").exists()
    return folder


def test_the_same_command_goes_on_though_one_machine_alone_has_the_checkpoint(small_set: Path, trained: Path) -> None:
    words = fit(small_set, "--ckpt_path", "auto", "--trainer.max_epochs", "2")
    # The machine with the checkpoint comes second, as after a job that was queued again.
    (trained / "machine0/run").rename(trained / "run")
    (trained / "machine1/run").rename(trained / "machine0/run")
    (trained / "run").rename(trained / "machine1/run")
    for code, said in machines(trained, [words] * 2, attempt=1):
        assert code == 0, said
    first = read_checkpoint(str(trained / "machine0/run/checkpoints/last.ckpt"))
    second = read_checkpoint(str(trained / "machine1/run/checkpoints/last.ckpt"))
    assert first["epoch"] == 1
    assert second["epoch"] == 0  # what was begun with, which the first machine was given
    assert first["global_step"] == 2 * second["global_step"] == 8


def test_other_processes_go_on_with_as_many_clips_a_step_or_not_at_all(
    small_set: Path, trained: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from benchmark.cli import main

    run = trained / "machine0/run"
    if not (run / "checkpoints/last.ckpt").exists():
        run = trained / "machine1/run"
    words = ["fit", *options(small_set, run, "--ckpt_path", "last", "--trainer.max_epochs", "3")]
    assert main(words) == 2
    wanted = "data.batch_size times the number of processes was 8 and is 4 now"
    assert wanted in capfd.readouterr().err
    assert main([*words, "--data.batch_size", "8"]) == 0


def test_a_test_gives_the_ledger_of_one_machine(small_set: Path, checkpoint: str, tested: Path, tmp_path: Path) -> None:
    """One machine alone holds the checkpoint; a killed test before has left parts on each."""
    words = ["test", *options(small_set, Path("test"), *_SHARED), "--ckpt_path", "some.ckpt"]
    (tmp_path / "machine0").mkdir()
    (tmp_path / "machine0/some.ckpt").write_bytes(Path(checkpoint).read_bytes())
    for code, said in machines(tmp_path, [words] * 2):
        assert code == 0, said
    alone = parquet.read_table(tested / "ledger.parquet")
    assert len(alone) == VIDEOS
    shared = parquet.read_table(tmp_path / "machine0/test/ledger.parquet")
    assert shared.drop_columns("scores").equals(alone.drop_columns("scores"))
    for one, two in zip(shared["scores"].to_pylist(), alone["scores"].to_pylist(), strict=True):
        assert (one is None) == (two is None)
        assert one is None or torch.allclose(torch.tensor(one), torch.tensor(two), atol=1e-6)
    assert not list(tmp_path.glob("machine*/test/unfinished"))


def test_a_machine_without_the_videos_ends_both(small_set: Path, tmp_path: Path) -> None:
    lacking = fit(small_set)
    place = lacking.index("--data.root")
    lacking[place + 1] = str(tmp_path / "nothing/file.txt")
    (tmp_path / "nothing").write_text("no folder", "utf-8")
    (code, said), (_, reason) = machines(tmp_path, [fit(small_set), lacking], seconds=100)
    assert code == 2
    assert "clipbench: process 1 of 2 cannot begin: " in said
    assert reason.splitlines()[-1].removeprefix("clipbench: ") in said


def test_no_machine_with_the_checkpoint_ends_both(small_set: Path, tmp_path: Path) -> None:
    for code, said in machines(tmp_path, [fit(small_set, "--ckpt_path", "last")] * 2, seconds=100):
        assert code == 2
        assert "there is no file run/checkpoints/last.ckpt" in said
