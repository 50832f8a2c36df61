"""The one place that opens files, with a PyAV that takes `metadata_errors` and with one that does not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from benchmark.data import container
from benchmark.data.container import open_container
from tests.generators.videos import write_video


@pytest.fixture(autouse=True)
def asked_again() -> Iterator[None]:
    """What PyAV takes is asked once a process; here once a test."""
    container.metadata_options.cache_clear()
    yield
    container.metadata_options.cache_clear()


def opened_with(monkeypatch: pytest.MonkeyPatch, *known: str) -> list[tuple[str, dict[str, Any]]]:
    """The calls of a PyAV that takes these arguments and no others."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def stand_in(
        file: str,
        mode: str | None = None,
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
        **others: Any,
    ) -> str:
        for name in others:
            if name not in known:
                raise TypeError(f"open() got an unexpected keyword argument '{name}'")
        file = file.removeprefix("file:")
        if not Path(file).is_file():
            raise FileNotFoundError(file)
        calls.append((file, others))
        return "container"

    monkeypatch.setattr(av, "open", stand_in)
    return calls


def test_a_title_that_is_not_utf8_opens(tmp_path: Path) -> None:
    path = tmp_path / "title.avi"
    write_video(path, title="ABCDEFGH", frames=3)
    held = path.read_bytes()
    assert held.count(b"ABCDEFGH") == 1
    path.write_bytes(held.replace(b"ABCDEFGH", b"caf\xe9 \xfc\xff!"))
    with open_container(path) as opened:
        assert opened.metadata["title"].startswith("caf")
        assert sum(1 for _ in opened.decode(video=0)) == 3


@pytest.mark.parametrize("known", [(), ("metadata_errors",)])
def test_the_argument_is_passed_where_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: tuple[str, ...]
) -> None:
    path = write_video(tmp_path / "video.mp4")
    calls = opened_with(monkeypatch, *known)
    for _ in range(2):
        open_container(path)
    assert calls == [(str(path), dict.fromkeys(known, "ignore"))] * 2
    with pytest.raises(FileNotFoundError):
        open_container(tmp_path / "none.mp4")
