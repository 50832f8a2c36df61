import math
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.data.packets import packets
from benchmark.errors import UserError
from benchmark.speed.peers import (
    DECODING_ALONE,
    FIRST_OPENING,
    OPENED_BEFORE,
    OURS,
    TEST_PEERS,
    TRAINING_PEERS,
    choose_peers,
    grey_level_differences,
    library_of,
    race,
)
from tests.generators.encoded import encode, number_shown


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 numbered frames, a key frame every 12; the middle square shows bits 2 to 5 whole, so it is square itself."""
    path = tmp_path_factory.mktemp("videos") / "numbered.mp4"
    return encode(path, width=240, height=240, options={"g": "12", "crf": "12"})


def installed() -> list[str]:
    return choose_peers("all")[0]


def numbers(clip: torch.Tensor) -> list[int]:
    assert clip.shape == (10, 200, 200, 3)
    assert clip.dtype == torch.uint8
    return [number_shown(frame) for frame in clip.numpy()]


@pytest.mark.parametrize("name", [name for name in TRAINING_PEERS if name != DECODING_ALONE])
def test_every_library_reads_the_same_training_clip(name: str, video: Path) -> None:
    if library_of(name) not in installed():
        pytest.skip(f"{name} is not installed")
    for start in (0, 11, 30):
        assert numbers(TRAINING_PEERS[name](video, start, 25.0)) == [*range(start, start + 10)]


@pytest.mark.parametrize("name", [name for name in TEST_PEERS if name != DECODING_ALONE])
def test_every_library_reads_the_same_clips_of_a_test(name: str, video: Path) -> None:
    if library_of(name) not in installed():
        pytest.skip(f"{name} is not installed")
    clips = TEST_PEERS[name](video, 25.0, [30, 4, 7])
    assert [numbers(clip)[0] for clip in clips] == [30, 4, 7]
    assert numbers(clips[1]) == [*range(4, 14)]


@pytest.mark.parametrize(("name", "passes"), [(FIRST_OPENING, 1), (OPENED_BEFORE, 0)])
def test_only_a_first_opening_looks_through_the_file(
    name: str, passes: int, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TRAINING_PEERS[OPENED_BEFORE](video, 0, 25.0)
    looked: list[object] = []

    def counted(*given: Any) -> Any:
        looked.append(given)
        return packets(*given)

    monkeypatch.setattr("benchmark.data.pyav_video.packets", counted)
    for count in (1, 2, 3):  # each time anew
        assert numbers(TRAINING_PEERS[name](video, 7, 25.0)) == [*range(7, 17)]
        assert len(looked) == passes * count
    assert [numbers(clip)[0] for clip in TEST_PEERS[name](video, 25.0, [30, 4])] == [30, 4]
    assert len(looked) == passes * 4


def test_the_limit_gives_no_frames(video: Path) -> None:
    assert len(TRAINING_PEERS[DECODING_ALONE](video, 3, 25.0)) == 0
    assert TEST_PEERS[DECODING_ALONE](video, 25.0, [3, 5]) == []


def test_frames_are_compared_with_ours(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def brighter(path: Path, start: int, rate: float) -> torch.Tensor:
        ours = TRAINING_PEERS[OPENED_BEFORE](path, start, rate).to(torch.int16)
        return torch.where(ours < 250, ours + 2, ours - 2)

    monkeypatch.setitem(TRAINING_PEERS, "opencv", brighter)
    monkeypatch.setitem(TRAINING_PEERS, "decord", lambda path, start, rate: torch.zeros(9, 200, 200, 3))
    found = grey_level_differences([OURS, "opencv", "decord", DECODING_ALONE], [(video, 0, 25.0), (video, 9, 25.0)])
    assert found["opencv"] == pytest.approx(2)
    assert math.isnan(found["decord"])
    assert list(found) == ["opencv", "decord"]


def test_a_race_gives_everyone_the_same_work_in_turns() -> None:
    called: list[tuple[str, int]] = []
    ways = {name: lambda number, name=name: called.append((name, number)) for name in ("a", "b")}
    rounds: list[list[tuple[object, ...]]] = [[(1,), (2,)], [(3,)]]
    torch.set_num_threads(2)
    try:
        raced = race(ways, rounds, clips=20)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    # The first call of each is not timed.
    assert called == [("a", 1), ("a", 1), ("a", 2), ("b", 1), ("b", 1), ("b", 2), ("b", 3), ("a", 3)]
    assert list(raced) == ["a", "b"]
    assert raced["a"].clips == raced["b"].clips == (40, 20)


def test_who_cannot_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"opencv cannot read .*none\.mp4.*leave it out of speed\.compare"):
        race({"opencv": TRAINING_PEERS["opencv"]}, [[(tmp_path / "none.mp4", 0, 25.0)]])


def test_who_fails_in_the_middle_leaves_the_race_to_the_others() -> None:
    def fails(number: int) -> int:
        if number == 3:
            raise RuntimeError("no frame")
        return number

    failed: dict[str, str] = {}
    rounds: list[list[tuple[object, ...]]] = [[(1,)], [(2,), (3,)], [(4,)]]
    raced = race({"a": fails, "b": lambda number: number}, rounds, failed=failed)
    assert list(raced) == ["b"]
    assert raced["b"].clips == (1, 2, 1)
    assert list(failed) == ["a"]
    assert "no frame" in failed["a"]


def test_choosing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_peers(None) == choose_peers([]) == ([], {})
    assert choose_peers("opencv") == ([OURS, "opencv", DECODING_ALONE], {})
    with pytest.raises(UserError, match=r"speed\.compare names ffmpeg; allowed are all, pytorchvideo, torchcodec"):
        choose_peers(["opencv", "ffmpeg"])

    def fail(name: str) -> object:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("benchmark.speed.peers.importlib.import_module", fail)
    names, missing = choose_peers("all")
    assert names == [OURS, "opencv", DECODING_ALONE]
    assert {name: "pip install" in why for name, why in missing.items()} == dict.fromkeys(
        ("pytorchvideo", "torchcodec", "decord"), True
    )
    with pytest.raises(UserError, match="names decord, which is not installed"):
        choose_peers(["decord"])
