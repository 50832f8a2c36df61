"""What a network says of a batch, as rows of the ledger."""

import pytest
import torch

from benchmark.errors import UserError
from benchmark.runs.ledger_rows import require_probabilities


def test_what_is_no_tensor_of_probabilities_is_the_users_to_mend() -> None:
    sound = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    assert require_probabilities(sound) is sound
    for outputs, said in (({"loss": 1.0}, "not a dict"), (None, "not a NoneType"), (2 * sound, "do not add up to 1")):
        with pytest.raises(UserError, match=f"^test_step must return class probabilities .*{said}"):
            require_probabilities(outputs)
