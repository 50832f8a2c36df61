"""Files that fuzzing has found a reader to fail on, and damaged ones of every kind that hypothesis makes."""

import contextlib
from pathlib import Path

import pytest

from benchmark.errors import UserError
from tests.campaign.readers import READERS
from tests.generators.refusals import tried

pytest.importorskip("hypothesis", reason="needs hypothesis, of the extra test")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_FOUND = [
    ("Sports-1M list", b"\n"),  # blank lines alone
    ("Sports-1M list", b"\r\n\r\n"),
]


@pytest.mark.parametrize(("name", "content"), _FOUND)
def test_what_fuzzing_has_found_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / READERS[name].file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(UserError):
        READERS[name].use(path)


@pytest.mark.parametrize("name", READERS)
def test_sound_files_are_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / READERS[name].file
    path.parent.mkdir(exist_ok=True)
    for content in READERS[name].sound():
        path.write_bytes(content)
        READERS[name].use(path)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_file_is_read_or_refused(name: str, tmp_path: Path, data: st.DataObject) -> None:
    """A sound file in which a stretch is something else, or no such file at all."""
    reader = READERS[name]
    sound = data.draw(st.sampled_from(reader.sound()))
    first = data.draw(st.integers(0, len(sound)))
    last = data.draw(st.integers(first, min(len(sound), first + 60)))
    middle = data.draw(
        st.one_of(st.binary(max_size=40), st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")))
    )
    path = tmp_path / reader.file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data.draw(st.sampled_from([sound[:first] + middle + sound[last:], middle])))
    with contextlib.suppress(OSError):  # of a file that is too large
        assert len(tried(reader.use, path)[1]) < 3000
