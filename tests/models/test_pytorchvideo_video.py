from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest

pytest.importorskip("pytorchvideo", reason="needs the extra zoo")

import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.models import PytorchvideoVideo
from benchmark.models.pytorchvideo_video import NETWORKS, PytorchvideoArchitecture
from tests.models.plain import random_clips
from tests.models.zoo import assert_batches_do_not_matter, assert_fits, on_no_device

# With 400 classes, as in pytorchvideo's model zoo: X3D 3.79 M, Slow 32.45, SlowFast 34.57, R(2+1)D 28.11, CSN 22.21,
# I3D 28.04, C2D 24.33. MViT-B has 36.61 at 224 pixels, 56x56 positions of 96 features; at 160 they are 40x40.
PARAMETERS: dict[PytorchvideoArchitecture, int] = {
    "x3d_xs": 3_794_274,
    "x3d_s": 3_794_274,
    "x3d_m": 3_794_274,
    "slow_r50": 32_454_096,
    "slowfast_r50": 34_566_488,
    "r2plus1d_r50": 28_107_600,
    "csn_r101": 22_213_776,
    "i3d_r50": 28_043_472,
    "c2d_r50": 24_327_632,
    "mvit_base_16x4": 36_610_672 - (56 * 56 - 40 * 40) * 96,
}
SHARED = {"x3d_xs": (2, 6, 10, 14), "x3d_s": tuple(range(2, 15))}
EIGHT = tuple(range(1, 16, 2))


@pytest.fixture(scope="module")
def small() -> PytorchvideoVideo:
    torch.manual_seed(0)
    return PytorchvideoVideo(5, architecture="x3d_xs")


@pytest.mark.parametrize("name", get_args(PytorchvideoArchitecture))
def test_is_the_published_network(name: PytorchvideoArchitecture) -> None:
    if name == "mvit_base_16x4":  # its builder needs numbers
        tested = PytorchvideoVideo(400, architecture=name).eval().to("meta")
    else:
        tested = on_no_device(PytorchvideoVideo, architecture=name)
    eight = name in {"slow_r50", "i3d_r50", "c2d_r50"}
    assert tested.frame_offsets == (EIGHT if eight else SHARED.get(name, tuple(range(16))))
    assert tested.clip_frames == 16
    assert_fits(tested, PARAMETERS[name])
    assert not any(isinstance(module, nn.Softmax) for module in list(tested.network.modules())[-6:])


@pytest.mark.parametrize(
    ("name", "frames", "step"), [("x3d_xs", 4, 12), ("x3d_s", 13, 6), ("x3d_m", 16, 5), ("slowfast_r50", 32, 2)]
)
def test_native_sampling_is_a_longer_clip(name: PytorchvideoArchitecture, frames: int, step: int) -> None:
    facts = NETWORKS[name]
    assert facts.offsets("native") == tuple(step * n for n in range(frames))
    assert facts.clip_frames("native") == frames * step
    assert facts.clip_frames("shared") == 16


def test_pathways_of_slowfast() -> None:
    tested = on_no_device(PytorchvideoVideo, 5, architecture="slowfast_r50")
    seen: list[list[Tensor]] = []

    class Recorder(nn.Module):
        def forward(self, pathways: list[Tensor]) -> Tensor:
            seen.append(pathways)
            return torch.zeros(1, 5)

    tested.network = Recorder()
    frames = torch.arange(16.0).expand(1, 3, 2, 2, 16).permute(0, 1, 4, 2, 3)
    assert tested._scores(frames).shape == (1, 5)
    slow, fast = (pathway[0, 0, :, 0, 0].tolist() for pathway in seen[0])
    assert slow == [0, 5, 10, 15]
    assert fast == list(range(16))


def test_pixels_by_hand(small: PytorchvideoVideo) -> None:
    clips = random_clips(2, 4, 160)
    expected = (clips.numpy().transpose(0, 4, 1, 2, 3) / 255 - 0.45) / 0.225
    np.testing.assert_allclose(small.pixels(clips).numpy(), expected, atol=1e-5)


def test_logits_are_those_of_the_network_and_no_shares(small: PytorchvideoVideo) -> None:
    clips = random_clips(2, 4, 160)
    small.eval()
    with torch.no_grad():
        logits = small(clips)
        torch.testing.assert_close(logits, small.network(small.pixels(clips)))
    assert (logits.sum(1) - 1).abs().max() > 0.01  # a softmax would add up to 1


def test_batches_do_not_matter(small: PytorchvideoVideo) -> None:
    clips = random_clips(2, 4, 160)
    clips[1] //= 4
    assert_batches_do_not_matter(small, clips)


def published(path: Path, network: nn.Module, **wrapper: Any) -> Path:
    """A file as the model zoo has them."""
    torch.save({"model_state": network.state_dict(), **wrapper}, path)
    return path


def test_weights_of_a_file_are_used(
    small: PytorchvideoVideo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = published(tmp_path / "X3D_XS.pyth", small.network)
    torch.manual_seed(1)
    again = PytorchvideoVideo(5, architecture="x3d_xs", weights=path)
    assert "all weights of x3d_xs loaded" in capsys.readouterr().out
    assert all(torch.equal(again.state_dict()[name], value) for name, value in small.state_dict().items())
    other = PytorchvideoVideo(7, architecture="x3d_xs", weights=path)
    assert "except blocks.5.proj, which has 5 classes there and 7 here" in capsys.readouterr().out
    mine, held = other.state_dict(), small.state_dict()
    assert [name for name in held if mine[name].shape != held[name].shape or not mine[name].equal(held[name])] == [
        "network.blocks.5.proj.weight",
        "network.blocks.5.proj.bias",
    ]
    checkpoint = {"provenance": {"is_known": True}}
    other._trainer = SimpleNamespace()  # type: ignore[assignment]
    other.on_save_checkpoint(checkpoint)
    assert checkpoint["provenance"] == {"is_known": False}


def test_weights_that_are_not_there_say_where_they_lie(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Nothing is downloaded: fetch .* X3D_XS\.pyth|/X3D_XS\.pyth"):
        PytorchvideoVideo(5, architecture="x3d_xs", weights=tmp_path / "kinetics")


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.architecture is 'x3d_l'; allowed are x3d_xs"):
        PytorchvideoVideo(5, architecture="x3d_l")  # type: ignore[arg-type]
