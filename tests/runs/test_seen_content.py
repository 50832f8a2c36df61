from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.content import WORDS, Contents
from benchmark.data.synthetic import read_synthetic_index
from benchmark.data.synthetic_plan import generation_seed_of
from benchmark.runs.seen_content import SeenContent, overlap


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("SyntheticActions-v2", 0),
        ("SyntheticActions-v2-seed0-g03", 0),
        ("SyntheticActions-v2-seed12-g18", 12),
        ("SyntheticActions-v2 (own split)", None),
        ("UCF101", None),
    ],
)
def test_the_name_of_a_generated_set_says_its_seed(name: str, seed: int | None) -> None:
    assert generation_seed_of(name) == seed


@pytest.mark.parametrize(
    ("seen_in", "is_alike"),
    [
        ("SyntheticActions-v2-seed1-g18", False),
        ("SyntheticActions-v2", True),
        ("SyntheticActions-v2-seed1-g18 (own split)", True),
        ("mine", True),
    ],
)
def test_generated_sets_of_other_seeds_are_compared_by_bytes_alone(
    seen_in: str, is_alike: bool, small_set: Path
) -> None:
    index = read_synthetic_index(small_set, source_groups=3)
    rows = len(index.rows("test"))
    rng = np.random.default_rng(0)
    prints = rng.integers(2**63, size=(rows, WORDS), dtype=np.uint64) | np.uint64(1)
    own = Contents(np.arange(1, rows + 1), prints)
    seen = Contents(np.append(np.arange(2, rows + 1), rows + 5) + rows * (np.arange(rows) > 0), prints)
    data = SimpleNamespace(index=index, contents=lambda split: own)
    found = overlap({seen_in: SeenContent(seen, np.ones(rows, bool))}, data, "test")
    assert len(found.same_file) == 1  # the bytes of the second video are those of the first that was seen
    assert len(found.alike) == (rows - 1 if is_alike else 0)
    assert found.by_print == (rows if is_alike else 0)
    assert found.by_bytes == found.videos == rows
    assert found.is_too_much  # by its bytes
