from collections import Counter
from itertools import chain
from typing import cast

import numpy as np
import pytest
import torch

from benchmark.clip import Failure, FeatureBatch
from benchmark.data.loader import EpochBatches
from benchmark.transfer.stored_features import FeatureLoader, StoredFeatures

ROWS = np.array([3, 5, 9])


def batches(draws: int | None = 4) -> EpochBatches:
    return EpochBatches(ROWS, 4, clips_per_video=6, clips_per_epoch=2, seed=1, draws=draws)


def visited(epochs: int, draws: int | None = 4) -> list[tuple[int, int, int]]:
    """(draw, row, clip) of some epochs in the order of training."""
    sampler, found = batches(draws), []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        found += list(chain.from_iterable(sampler))
    return found


def test_every_clip_comes_in_every_draw_before_one_comes_again() -> None:
    assert Counter(visited(12)) == {(d, int(row), clip): 1 for d in range(4) for row in ROWS for clip in range(6)}
    assert set(Counter(visited(24)).values()) == {2}


def test_without_draws_each_epoch_has_its_own() -> None:
    assert [key[1:] for key in visited(3)] == [key[1:] for key in visited(3, None)]
    assert {key[0] for key in visited(3, None)} == {0, 1, 2}


@pytest.mark.parametrize("epochs", [1, 5, 12, 1000])
def test_the_keys_are_those_that_training_will_ask_for(epochs: int) -> None:
    wanted = {(row, clip, draw) for draw, row, clip in visited(min(epochs, 30))}
    assert list(map(tuple, batches().keys(epochs).tolist())) == sorted(wanted)


def stored(keys: np.ndarray, failures: dict[int, Failure]) -> StoredFeatures:
    """Features that are their own key."""
    labels = {int(row): [int(row) % 3] for row in set(keys[:, 0].tolist())}
    return StoredFeatures(keys, torch.from_numpy(keys).float(), 4, 2, labels, failures, [])


def test_a_batch_has_the_features_and_labels_of_its_keys_and_the_failures() -> None:
    keys = batches().keys(12)
    broken = Failure(5, "v5", "no video")
    held = stored(keys[keys[:, 0] != 5], {5: broken})
    loader = FeatureLoader(held, batches(), 3)
    loader.batch_sampler.set_epoch(4)
    wanted = [key for key in visited(5)[-6:]]
    found = [cast(FeatureBatch, batch) for batch in loader]
    features = torch.cat([batch.features for batch in found]).tolist()
    assert features == [[row, clip, draw] for draw, row, clip in wanted if row != 5]
    assert [failure for batch in found for failure in batch.failures] == [broken] * len(
        [batch for batch in range(2) if any(key[1] == 5 for key in wanted[4 * batch : 4 * batch + 4])]
    )
    for batch in found:
        assert batch.labels.argmax(1).tolist() == (batch.rows % 3).tolist()
        assert batch.first_layer == 2


def test_a_key_that_was_never_stored_is_no_failure() -> None:
    keys = batches().keys(12)
    with pytest.raises(KeyError, match="no features are stored"):
        stored(keys[1:], {}).batch(keys[:1], 3)
    assert len(stored(keys[:0], {3: Failure(3, "v3", "no")}).batch(keys[:1], 3)) == 0
