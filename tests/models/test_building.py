import pytest
import torch

from benchmark.models import SingleFrame
from benchmark.models.building import build, configured, first_optimizer, parsed
from tests.generators.broken_models import Sound


def test_words_and_a_file_build_the_same_network() -> None:
    words = parsed(["--model", "SingleFrame", "--model.width", "0.05", "--model.num_classes", "3"])
    of_words = build(words, seed=1)
    of_file = build(configured("SingleFrame", {"width": 0.05, "num_classes": 3}), seed=1)
    other = build(words, seed=2)
    assert isinstance(of_words, SingleFrame)
    held = of_file.state_dict()
    assert all(torch.equal(value, held[name]) for name, value in of_words.state_dict().items())
    assert any(not torch.equal(value, other.state_dict()[name]) for name, value in of_words.state_dict().items())


def test_what_the_constructor_refuses_is_said() -> None:
    with pytest.raises(Exception, match="num_classes is 1"):
        build(configured("SingleFrame", {"num_classes": 1}))


def test_no_optimiser_is_none_and_the_trainer_is_taken_away_again() -> None:
    class Without(Sound):
        def configure_optimizers(self) -> None:
            assert self.trainer.max_epochs == 1

    network = Without(3)
    assert first_optimizer(network) is None
    with pytest.raises(RuntimeError, match="not attached"):
        network.trainer  # noqa: B018
