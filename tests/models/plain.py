"""The networks once more, from PyTorch's own layers on (B, C, T, H, W), and the clips to compare them on."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.clip import ClipBatch
from benchmark.models import VideoClassifier
from benchmark.protocol import View

WIDTH = 0.1
CHANNELS = (10, 26, 38, 38, 26)  # 96, 256, 384, 384, 256 at WIDTH, rounded
HIDDEN = 410  # 4096 at WIDTH
CLASSES = 7
SIDE = {"full": 170, "multires": 178, "fovea": 178, "context": 178}


def random_clips(count: int, frames: int, side: int, seed: int = 0) -> Tensor:
    """(count, frames, side, side, 3) uint8."""
    return torch.randint(
        0, 256, (count, frames, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def clip_batch(frames: Tensor, labels: Tensor, views: tuple[View, ...] = ("centre",)) -> ClipBatch:
    count = torch.arange(len(frames))
    return ClipBatch(frames, labels, count, count, count, torch.zeros(len(frames), dtype=torch.bool), views)


class Norm(nn.Module):
    def __init__(self, pixel_scale: float) -> None:
        super().__init__()
        self.alpha = 1e-4 * pixel_scale**2

    def forward(self, x: Tensor) -> Tensor:
        return F.local_response_norm(x, 5, alpha=5 * self.alpha, beta=0.5, k=2.0)


def stream(
    extents: Sequence[tuple[int, int]], *, pixel_scale: float, last_pool: bool, channels: Sequence[int] = CHANNELS
) -> nn.Sequential:
    """Convolutional trunk, (B, 3, T, S, S) to (B, C * 7 * 7); extent and stride in time of its first three layers."""
    c1, c2, c3, c4, c5 = channels
    (t1, s1), (t2, s2), (t3, s3) = extents
    pool = nn.MaxPool3d((1, 2, 2), ceil_mode=True)
    return nn.Sequential(
        nn.Conv3d(3, c1, (t1, 11, 11), (s1, 3, 3)), nn.ReLU(), Norm(pixel_scale), pool,
        nn.Conv3d(c1, c2, (t2, 5, 5), (s2, 1, 1), (0, 2, 2)), nn.ReLU(), Norm(pixel_scale), pool,
        nn.Conv3d(c2, c3, (t3, 3, 3), (s3, 1, 1), (0, 1, 1)), nn.ReLU(),
        nn.Conv3d(c3, c4, (1, 3, 3), padding=(0, 1, 1)), nn.ReLU(),
        nn.Conv3d(c4, c5, (1, 3, 3), padding=(0, 1, 1)), nn.ReLU(),
        *([pool] if last_pool else []),
        nn.Flatten(),
    )  # fmt: skip


class PlainNetwork(nn.Module):
    """A fusion strategy: extents in time of the trunk, how many towers share it, and numbers of units."""

    def __init__(
        self,
        resolution: str,
        *,
        extents: Sequence[tuple[int, int]] = ((1, 1), (1, 1), (1, 1)),
        towers: int = 1,
        pixel_scale: float = 58.0,
        channels: Sequence[int] = CHANNELS,
        hidden: int = HIDDEN,
        classes: int = CLASSES,
    ) -> None:
        super().__init__()
        self.resolution, self.towers, self.pixel_scale = resolution, towers, pixel_scale
        streams = 2 if resolution == "multires" else 1
        self.streams = nn.ModuleList(
            stream(extents, pixel_scale=pixel_scale, last_pool=resolution == "full", channels=channels)
            for _ in range(streams)
        )
        self.features = channels[-1] * 7 * 7 * streams * towers
        self.head = nn.Sequential(
            nn.Linear(self.features, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )

    def forward(self, clips: Tensor) -> Tensor:
        dtype = next(self.parameters()).dtype
        pixels = (clips.permute(0, 4, 1, 2, 3).to(dtype) - 117) / self.pixel_scale
        context, fovea = F.avg_pool3d(pixels, (1, 2, 2)), pixels[..., 44:133, 44:133]
        views = {"full": [pixels], "context": [context], "fovea": [fovea], "multires": [context, fovea]}
        towers = zip(*(view.chunk(self.towers, dim=2) for view in views[self.resolution]), strict=True)
        features = [trunk(x) for tower in towers for trunk, x in zip(self.streams, tower, strict=True)]
        logits: Tensor = self.head(torch.cat(features, dim=1))
        return logits

    def in_this_layout(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Weights, or their gradients, of the tested network in the shapes and orders of this one's."""
        return [
            self._in_this_layout(theirs, mine.shape) for theirs, mine in zip(tensors, self.parameters(), strict=True)
        ]

    def _in_this_layout(self, tensor: Tensor, shape: torch.Size) -> Tensor:
        if len(shape) == 5:  # (filters, extent * C, k, k) to (filters, C, extent, k, k)
            return tensor.reshape(shape[0], shape[2], shape[1], *shape[3:]).transpose(1, 2)
        if shape == (HIDDEN, self.features):  # features in the order height, width, channel to channel, height, width
            by_place = tensor.reshape(HIDDEN, -1, 7, 7, CHANNELS[-1])
            return by_place.permute(0, 1, 4, 2, 3).flatten(1)
        return tensor


def assert_same_network(tested: VideoClassifier, plain: PlainNetwork, *, dtype: torch.dtype, tolerance: float) -> None:
    """Logits and gradients agree for the same weights, to a share of the largest value of each tensor."""
    torch.manual_seed(1)
    for parameter in tested.parameters():
        if parameter.ndim == 1:  # biases begin at zero, where a misplaced one would not be seen
            nn.init.normal_(parameter, std=0.1)
    nn.init.normal_(list(tested.parameters())[-2], std=0.1)
    tested.eval().to(dtype)
    plain.to(dtype)
    with torch.no_grad():
        for mine, theirs in zip(plain.parameters(), plain.in_this_layout(list(tested.parameters())), strict=True):
            mine.copy_(theirs)
    clips = random_clips(2, len(tested.frame_offsets), SIDE[plain.resolution])
    direction = torch.randn(2, CLASSES, dtype=dtype)
    logits, expected = tested(clips), plain(clips)
    assert logits.shape == (2, CLASSES)
    assert logits.dtype == dtype
    assert expected.std() > 0.1
    _assert_close(logits, expected, tolerance)
    gradients = torch.autograd.grad((logits * direction).sum(), list(tested.parameters()))
    plain_gradients = torch.autograd.grad((expected * direction).sum(), list(plain.parameters()))
    for gradient, wanted in zip(plain.in_this_layout(gradients), plain_gradients, strict=True):
        assert wanted.abs().max() > 0
        _assert_close(gradient, wanted, tolerance)


def _assert_close(value: Tensor, expected: Tensor, tolerance: float) -> None:
    expected = expected.detach()
    torch.testing.assert_close(value, expected, rtol=0, atol=tolerance * float(expected.abs().max()))


def parameter_count(network: Callable[..., VideoClassifier], resolution: str) -> int:
    """Parameters at the paper's width and 487 classes, without memory for them."""
    with torch.device("meta"):
        return sum(int(parameter.numel()) for parameter in network(487, resolution=resolution).parameters())


def influences(tested: VideoClassifier, layer: str) -> list[set[int]]:
    """For each moment of a convolution's output, the input frames that change it when they change alone.

    Args:
        tested: A network of resolution `full`.
        layer: `conv1` to `conv5`.
    """
    frames = len(tested.frame_offsets)
    clips = random_clips(1, frames, SIDE["full"]).repeat(frames + 1, 1, 1, 1, 1)
    for frame in range(frames):  # clip 1 + n differs from clip 0 in frame n
        clips[1 + frame, frame] = random_clips(1, 1, SIDE["full"], seed=1)[0, 0]
    seen: list[Tensor] = []
    module = next(module for name, module in tested.named_modules() if name.endswith(f".{layer}"))
    handle = module.register_forward_hook(lambda _module, _inputs, output: seen.append(output.detach().clone()))
    with torch.no_grad():
        tested.eval()(clips)
    handle.remove()
    (output,) = seen
    # Not for exact equality: the same clip may be summed in another order elsewhere in a batch.
    change = (output[1:] - output[:1]).abs().flatten(2).amax(dim=2)
    changed = change > 1e-3 * output.abs().max()
    return [set(changed[:, moment].nonzero().flatten().tolist()) for moment in range(changed.shape[1])]
