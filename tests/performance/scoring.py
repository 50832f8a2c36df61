"""How fast a test scores videos, against the same protocol written with torchcodec, on the same videos and network.

    pip install -e '.[torchcodec]'
    python -m tests.performance.scoring FOLDER [--videos 30] [--width 0.25] [--resolution multires]

Three ways, in turns, other videos in each pass: ours (`ClipReader` decodes a video once for its 20 clips), torchcodec
with one open and one seek a clip, and torchcodec with one `get_frames_at` a video. All score 20 clips x 4 views of each
video with one network in one process. Prints clips/s (medians over the passes) and ratios.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmark.clip import cut_view
from benchmark.data.dataset import ClipReader
from benchmark.data.index import Video
from benchmark.data.sampling import clip_start, frame_numbers
from benchmark.models import SingleFrame
from benchmark.process import tune_process
from benchmark.protocol import Protocol
from benchmark.runs.trainer import fastest_precision

PROTOCOL = Protocol()
PASSES = 5


def score(network: SingleFrame, frames: Tensor) -> Tensor:
    """(B, T, 200, 200, 3) uint8 to (B, K): the mean over the views."""
    views = [network(cut_view(frames, view, network.input_side)).float().softmax(1) for view in PROTOCOL.views]
    return torch.stack(views).mean(0)


def ours(network: SingleFrame, path: Path) -> Tensor:
    reader = ClipReader(PROTOCOL, network.frame_offsets)
    sample = reader.read(Video(0, path.stem, path, ()), range(PROTOCOL.clips_per_video))
    return score(network, torch.from_numpy(sample.frames)).mean(0)


def _numbers(network: SingleFrame, path: Path, frames: int) -> list[list[int]]:
    starts = [
        clip_start(PROTOCOL.sampler_seed, path.stem, clip, frames, PROTOCOL.clip_frames)
        for clip in range(PROTOCOL.clips_per_video)
    ]
    return [list(frame_numbers(start, network.frame_offsets, frames)) for start in starts]


def _square(frames: Tensor) -> Tensor:
    """(N, C, H, W) uint8 to (N, 200, 200, C), by torchvision as its documentation suggests."""
    from torchvision.transforms.v2 import functional

    side = min(frames.shape[-2:])
    cropped = functional.center_crop(frames, [side, side])
    resized: Tensor = functional.resize(cropped, [PROTOCOL.frame_side] * 2, antialias=True)
    return resized.permute(0, 2, 3, 1)


def torchcodec_clip_by_clip(network: SingleFrame, path: Path) -> Tensor:
    from torchcodec.decoders import VideoDecoder

    frames = VideoDecoder(str(path), seek_mode="approximate").metadata.num_frames
    scores = []
    for numbers in _numbers(network, path, frames):
        decoder = VideoDecoder(str(path), seek_mode="approximate", num_ffmpeg_threads=1)
        scores.append(score(network, _square(decoder.get_frames_at(numbers).data)[None])[0])
    return torch.stack(scores).mean(0)


def torchcodec_bulk(network: SingleFrame, path: Path) -> Tensor:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), seek_mode="approximate", num_ffmpeg_threads=1)
    numbers = _numbers(network, path, decoder.metadata.num_frames)
    pictures = _square(decoder.get_frames_at([number for clip in numbers for number in clip]).data)
    return score(network, pictures.reshape(len(numbers), -1, *pictures.shape[1:])).mean(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--videos", type=int, default=30)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--resolution", default="multires")
    options = parser.parse_args()
    tune_process()
    paths = sorted(path for path in options.folder.rglob("*") if path.suffix in {".avi", ".mp4"})
    network = SingleFrame(6, resolution=options.resolution, width=options.width).eval()
    ways: dict[str, Callable[[SingleFrame, Path], Tensor]] = {
        way.__name__: way for way in (ours, torchcodec_clip_by_clip, torchcodec_bulk)
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    is_bf16 = fastest_precision() == "bf16-mixed"
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
        for number in range(PASSES):
            chosen = random.Random(number).sample(paths, options.videos)
            for name, way in ways.items():
                way(network, chosen[0])
                start = time.perf_counter()
                for path in chosen:
                    way(network, path)
                seconds = time.perf_counter() - start
                rates[name].append(len(chosen) * PROTOCOL.clips_per_video / seconds)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, median in medians.items():
        spread = f"{min(rates[name]):.0f} to {max(rates[name]):.0f}"
        print(f"{name:26s} {median:7.0f} clips/s ({spread})  ours is {medians['ours'] / median:.2f}x")


if __name__ == "__main__":
    main()
