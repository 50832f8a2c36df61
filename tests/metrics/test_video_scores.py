"""Video scores against a loop over videos.

Letters: B clips, V videos, K classes.
"""

import numpy as np
import pytest
import torch

from benchmark.metrics.video_scores import VideoCount, video_scores


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_means_equal_a_loop(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(0)
    rows = rng.choice([3, 900_000_000_000, 7, 41], 60)
    probabilities = torch.from_numpy(rng.dirichlet(np.ones(9), 60)).to(dtype)
    scores, videos, first = video_scores(probabilities, torch.from_numpy(rows))
    assert scores.dtype == torch.float32
    assert videos.tolist() == sorted(set(rows.tolist()))
    for values, row, position in zip(scores, videos.tolist(), first.tolist(), strict=True):
        clips = [clip for clip, owner in enumerate(rows.tolist()) if owner == row]
        assert position == clips[0]
        mean = np.mean([probabilities[clip].float().numpy().astype(np.float64) for clip in clips], axis=0)
        np.testing.assert_allclose(values.numpy(), mean.astype(np.float32), rtol=1e-7)


def test_a_failed_clip_fails_its_video_alone() -> None:
    probabilities = torch.tensor([[0.5, torch.nan], [0.25, 0.75], [0.5, 0.5]])
    scores, videos, first = video_scores(probabilities, torch.tensor([1, 0, 1]))
    assert videos.tolist() == [0, 1]
    assert first.tolist() == [1, 0]
    assert scores[0].tolist() == [0.25, 0.75]
    assert scores[1].isnan().any()


def test_no_clips_are_no_videos() -> None:
    scores, videos, first = video_scores(torch.empty(0, 4), torch.empty(0, dtype=torch.int64))
    assert (scores.shape, videos.shape, first.shape) == ((0, 4), (0,), (0,))


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 2\) and rows \(2,\)"):
        video_scores(torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64))


def test_count() -> None:
    count = VideoCount()
    count.update(3)
    count.update(2**24)
    assert count.compute() == 2**24 + 3
