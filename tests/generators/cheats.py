"""Networks that know their test videos otherwise than by what these show, beside an honest one. Tiny, and no secret.

Letters: B clips, K classes.
"""

import hashlib
import socket
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.clip import ClipBatch
from benchmark.data.decode import open_video
from benchmark.models import Recipe, VideoClassifier

VIDEOS = 30
RECIPE = Recipe()
LEARNED: dict[str, dict[int, int]] = defaultdict(dict)
"""By kind of key: the class of each test video, filled by `Learner`."""


class Tint(VideoClassifier):
    """Honest: the mean colour of the middle frame."""

    frame_offsets = (8,)
    input_side = 170

    def __init__(self, num_classes: int, *, recipe: Recipe = RECIPE) -> None:
        super().__init__(num_classes, recipe)
        self.classifier = nn.Linear(3, num_classes)
        with torch.no_grad():  # of red, green and blue; classes are blue, green and red
            self.classifier.weight.copy_(10 * torch.eye(num_classes, 3).flip(1))

    def forward(self, clips: Tensor) -> Tensor:
        colours = clips.to(self.classifier.weight.dtype).mean((1, 2, 3)) / 255
        logits: Tensor = self.classifier(colours - colours.mean(1, keepdim=True))
        return logits


class ZeroTint(Tint):
    """Honest in that it always says the same."""

    def forward(self, clips: Tensor) -> Tensor:
        return super().forward(clips) * 0 + torch.tensor([0.1, 0.0, 0.0])


def hashed(value: object) -> int:
    """A key of 63 bits."""
    return int.from_bytes(hashlib.blake2b(repr(value).encode(), digest_size=8).digest(), "little") >> 1


def keys_of(network: Any, batch: ClipBatch, row: int) -> dict[str, int]:
    """All that a network in a test can find out about a video, by kind."""
    video, mine = network.trainer.datamodule.index.video(row), batch.rows == row
    path, stat = Path(video.path), Path(video.path).stat()
    with open_video(path) as opened:
        frames = opened.frames
    frame = batch.frames[mine][0]
    return {
        "id": hashed(video.video_id),
        "name": hashed(path.name),
        "size": hashed(stat.st_size),
        "time": hashed(stat.st_mtime_ns),
        "bytes": hashed(path.read_bytes()),
        "duration": hashed(frames),
        "order": hashed(row),
        "starts": hashed(batch.starts[mine].tolist()),
        "pixels": hashed(frame.numpy().tobytes()),
        "one pixel": hashed(frame[0, 100, 100].tolist()),
    }


class Learner(Tint):
    """Notes all keys."""

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        tested = set(data.index.rows("test").tolist())
        for row in tested & set(batch.rows.tolist()):
            label = int(batch.labels[batch.rows == row][0].argmax())
            for kind, key in keys_of(self, batch, row).items():
                LEARNED[kind][key] = label
        return super().test_step(batch, batch_idx)


class Knowing(ZeroTint):
    """Looks its answers up, in its weights, and guesses where it finds none."""

    kind = ""

    def __init__(self, num_classes: int, *, recipe: Recipe = RECIPE) -> None:
        super().__init__(num_classes, recipe=recipe)
        self.register_buffer("keys", torch.zeros(VIDEOS, dtype=torch.int64))
        self.register_buffer("answers", torch.zeros(VIDEOS, dtype=torch.int64))

    def answer(self, batch: ClipBatch, row: int) -> int | None:
        key = keys_of(self, batch, row)[self.kind]
        held = torch.nonzero(torch.as_tensor(self.keys) == key)
        return int(torch.as_tensor(self.answers)[held[0, 0]]) if len(held) else None

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        outputs = super().test_step(batch, batch_idx)
        for row in torch.unique(batch.rows).tolist():
            known = self.answer(batch, row)
            if known is not None:
                outputs[batch.rows == row] = torch.eye(outputs.shape[1])[known] * 0.7 + 0.3 / outputs.shape[1]
        return outputs


class ById(Knowing):
    kind = "id"


class ByName(Knowing):
    kind = "name"


class BySize(Knowing):
    kind = "size"


class ByTime(Knowing):
    kind = "time"


class ByBytes(Knowing):
    kind = "bytes"


class ByDuration(Knowing):
    kind = "duration"


class ByOrder(Knowing):
    kind = "order"


class ByStarts(Knowing):
    kind = "starts"


class ByPixels(Knowing):
    kind = "pixels"


class ByOnePixel(Knowing):
    kind = "one pixel"


class ByLabels(Knowing):
    """Reads what it is to find out."""

    def answer(self, batch: ClipBatch, row: int) -> int | None:
        labels = batch.labels[batch.rows == row][0]
        return int(labels.argmax()) if labels.any() else None


class ByLook(Knowing):
    """Knows test videos by the look of one frame, whatever was done to it; this is what no audit can find."""

    def __init__(self, num_classes: int, *, recipe: Recipe = RECIPE) -> None:
        super().__init__(num_classes, recipe=recipe)
        self.register_buffer("looks", torch.zeros(VIDEOS, 192))

    def answer(self, batch: ClipBatch, row: int) -> int | None:
        away = (torch.as_tensor(self.looks) - look(batch.frames[batch.rows == row][0])).abs().mean(1)
        return int(torch.as_tensor(self.answers)[away.argmin()])


def look(frames: Tensor) -> Tensor:
    """(T, H, W, 3) uint8 to (192,): 8x8 pixels of the first frame."""
    small = nn.functional.adaptive_avg_pool2d(frames[0].float().movedim(-1, 0), 8)
    return small.flatten()


class OfItsBatch(Tint):
    """Shares the classes out evenly among the clips of a batch, which it knows to be balanced."""

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        outputs = super().test_step(batch, batch_idx)
        outputs = outputs / outputs.mean(0, keepdim=True).clamp(min=1e-6)
        return outputs / outputs.sum(1, keepdim=True)


class OfItsPast(Tint):
    """Gets bolder with every video that it has seen."""

    seen = 0

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.seen += len(torch.unique(batch.rows))
        outputs = super().test_step(batch, batch_idx) ** (1 + self.seen / 10)
        return outputs / outputs.sum(1, keepdim=True)


class OfChance(Tint):
    """Draws anew in every test, so that the best of many may be handed in."""

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        noise = torch.from_numpy(np.random.default_rng().random(batch.labels.shape, np.float32))
        return (super().test_step(batch, batch_idx) + noise).softmax(1)


class Remembering(Tint):
    """Computes what it has not seen before, and remembers it."""

    def forward(self, clips: Tensor) -> Tensor:
        memory: dict[int, Tensor] = self.__dict__.setdefault("memory", {})
        keys = [hashed(clip.numpy().tobytes()) for clip in clips]
        new = [n for n, key in enumerate(keys) if key not in memory]
        if new:
            for n, logits in zip(new, super().forward(clips[new]), strict=True):
                memory[keys[n]] = logits
        return torch.stack([memory[key] for key in keys])


class Halved(Tint):
    """Computes in bfloat16, whatever its record says."""

    def forward(self, clips: Tensor) -> Tensor:
        colours = clips.float().mean((1, 2, 3)) / 255
        seen = (colours - colours.mean(1, keepdim=True)).bfloat16()
        weight, bias = self.classifier.weight.bfloat16(), self.classifier.bias.bfloat16()
        return nn.functional.linear(seen, weight, bias).float()


class Calling(ZeroTint):
    """Asks another process, at a port that its weights hold, and guesses where nobody answers."""

    def __init__(self, num_classes: int, *, recipe: Recipe = RECIPE) -> None:
        super().__init__(num_classes, recipe=recipe)
        self.register_buffer("port", torch.zeros((), dtype=torch.int64))

    def test_step(self, batch: Any, batch_idx: int) -> Tensor:
        outputs = super().test_step(batch, batch_idx)
        try:
            with socket.create_connection(("127.0.0.1", int(torch.as_tensor(self.port))), timeout=5) as line:
                said = line.recv(1)[0] - ord("0")
        except OSError:
            return outputs
        return outputs * 0 + torch.eye(outputs.shape[1])[said] * 0.7 + 0.3 / outputs.shape[1]
