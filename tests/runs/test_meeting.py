"""Processes that were started from outside all begin, or none does."""

from pathlib import Path

import pytest

from benchmark.runs.meeting import Meeting
from tests.generators.ranks import two_processes

_MEET = """
from benchmark.errors import UserError
from benchmark.runs.meeting import Meeting
os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
def say(text): print(text, file=sys.stderr)
try:
    meeting = Meeting.of_environment()
"""
_PART = """
except UserError as error:
    sys.exit(str(error))
else:  # what they say goes through process 0, which has more to do in a run
    Path(f"ended{rank}").touch()
    while rank == 0 and not Path("ended1").exists():
        time.sleep(0.01)
"""


def meet(folder: Path, code: str) -> list[tuple[int, str]]:
    """What two processes say that run some code in their meeting."""
    lines = "".join(f"    {line}\n" for line in code.strip().splitlines())
    return two_processes(folder, f"{_MEET}{lines.rstrip()}{_PART}")


def test_each_hears_all_in_the_order_of_ranks(tmp_path: Path) -> None:
    for code, said in meet(tmp_path, "say(meeting.tell({'rank': rank}))\nsay(meeting.tell(rank * 2))"):
        assert code == 0
        assert said.splitlines()[-2:] == ["[{'rank': 0}, {'rank': 1}]", "[0, 2]"]


def test_what_was_said_before_a_restart_is_not_heard(tmp_path: Path) -> None:
    """torchrun keeps the store, and counts starts only on the machine whose process was lost."""
    code = """
meeting.tell(f'old {rank}')
os.environ["TORCHELASTIC_RESTART_COUNT"] = str(rank)
time.sleep(rank)  # the first process finds what the second one said before
say(Meeting.of_environment().tell(f'new {rank}'))
"""
    for exit_code, said in meet(tmp_path, code):
        assert exit_code == 0, said
        assert said.splitlines()[-1] == "['new 0', 'new 1']"


@pytest.mark.parametrize("failing", [0, 1])
def test_one_that_fails_ends_all_with_its_reason(tmp_path: Path, failing: int) -> None:
    code = f"""
meeting.tell()
if rank == {failing}:
    meeting.refuse(UserError('no folder there'))
    sys.exit('no folder there')
meeting.tell()
"""
    said = meet(tmp_path, code)
    assert [code for code, _ in said] == [1, 1]
    assert said[failing][1].endswith("no folder there\n")
    assert f"process {failing} of 2 cannot begin: no folder there" in said[1 - failing][1]


def test_a_large_file_goes_to_who_lacks_it(tmp_path: Path) -> None:
    size = 37 * 2**20 + 5  # more than are on their way at a time, and no whole number of chunks
    (tmp_path / "machine0").mkdir()
    (tmp_path / "machine0/some.ckpt").write_bytes(bytes(range(251)) * (size // 251) + bytes(size % 251))
    done = meet(tmp_path, "meeting.tell()\nmeeting.pass_on(Path(f'machine{rank}/some.ckpt'), 0, [1])\nmeeting.tell()")
    assert [code for code, _ in done] == [0, 0], done
    sent, received = ((tmp_path / f"machine{rank}/some.ckpt").read_bytes() for rank in range(2))
    assert len(received) == size
    assert received == sent
    assert [path.name for path in (tmp_path / "machine1").iterdir()] == ["some.ckpt"]


def test_a_process_alone_meets_nobody() -> None:
    alone = Meeting.of_environment({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "nowhere"})
    assert alone.tell(3) == [3]
    alone.refuse(ValueError("no"))
    assert Meeting.of_environment({}).processes == 1
    assert Meeting.of_environment({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}).processes == 1  # no step of srun
