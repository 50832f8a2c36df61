import contextlib
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pytest
import torch

from benchmark.clip import ClipBatch, Failure, cut_view
from benchmark.protocol import View


def parts(clips: int = 3) -> dict[str, Any]:
    return {
        "frames": torch.zeros(clips, 2, 6, 8, 3, dtype=torch.uint8),
        "labels": torch.zeros(clips, 5),
        "rows": torch.arange(clips),
        "clips": torch.arange(clips),
        "starts": torch.arange(clips),
        "padded": torch.zeros(clips, dtype=torch.bool),
    }


@pytest.mark.parametrize("clips", [0, 1, 3])
def test_its_length_is_the_number_of_clips(clips: int) -> None:
    assert len(ClipBatch(**parts(clips))) == clips


@pytest.mark.parametrize(
    "frames",
    [
        torch.zeros(3, 2, 6, 8, 3),
        torch.zeros(3, 2, 3, 6, 8, dtype=torch.uint8),
        torch.zeros(3, 6, 8, 3, dtype=torch.uint8),
    ],
)
def test_frames_of_another_shape_or_type_are_refused(frames: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"frames are .* expected"):
        ClipBatch(**parts() | {"frames": frames})


@pytest.mark.parametrize("name", ["labels", "rows", "clips", "starts", "padded"])
def test_another_number_of_clips_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} has 2 rows, but there are 3 clips"):
        ClipBatch(**parts() | {name: parts()[name][:2]})


def test_single_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(B, K\)"):
        ClipBatch(**parts() | {"labels": torch.zeros(3)})


def test_moving_keeps_what_is_no_tensor() -> None:
    failure = Failure(4, "v", "the file is empty")
    batch = ClipBatch(**parts(), views=("upper_left",), failures=[failure])
    moved = batch.to("meta", non_blocking=True)
    assert moved.views == ("upper_left",)
    assert moved.failures == [failure]
    for name in parts():
        assert getattr(moved, name).device.type == "meta"
        assert getattr(batch, name).device.type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="page-locked memory needs a GPU")
def test_page_locked_memory() -> None:
    batch = ClipBatch(**parts()).pin_memory()
    assert all(getattr(batch, name).is_pinned() for name in parts())


def test_a_gpu_is_sent_a_batch_beside_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    batch = ClipBatch(**parts())

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_stream(self, other: "Stream") -> None:
            said.append(f"{self.name} waits for {other.name}")

    @contextlib.contextmanager
    def within(stream: Stream) -> Iterator[None]:
        said.append(f"on {stream.name}")
        yield
        said.append(f"off {stream.name}")

    computing, sending = Stream("computing"), Stream("sending")
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: computing)
    monkeypatch.setattr("benchmark.clip._sending_stream", lambda _: sending)
    monkeypatch.setattr(torch.cuda, "stream", within)

    def to(held: ClipBatch, _: torch.device, non_blocking: bool) -> ClipBatch:
        said.append(f"sent {non_blocking}")
        return held

    monkeypatch.setattr(ClipBatch, "to", to)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda _, stream: said.append(f"kept for {stream.name}"))
    batch.sent(torch.device("cuda"))
    tensors = len(batch._tensors())
    assert said == [
        *("on sending", "sent True", "off sending", "computing waits for sending"),
        *["kept for computing"] * tensors,
    ]


@pytest.mark.parametrize("view", get_args(View))
@pytest.mark.parametrize(("height", "width"), [(7, 9), (8, 8), (4, 11), (4, 4)])
def test_views_against_a_loop_over_pixels(view: View, height: int, width: int) -> None:
    side = 4
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, height, width, 3), np.uint8)
    cut = cut_view(torch.from_numpy(frames), view, side).numpy()
    top, left = {"u": (0, 0), "l": (height - side, width - side), "c": ((height - side) // 2, (width - side) // 2)}[
        view[0]
    ]
    assert cut.shape == (2, 3, side, side, 3)
    for row in range(side):
        for column in range(side):
            source = side - 1 - column if view.endswith("flipped") else column
            np.testing.assert_array_equal(cut[:, :, row, column], frames[:, :, top + row, left + source])


def test_a_crop_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="a crop of 7x7 does not fit into frames of 6x8"):
        cut_view(parts()["frames"], "centre", 7)
