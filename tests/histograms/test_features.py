import pytest

from benchmark.errors import UserError
from benchmark.histograms.features import DIMENSIONS, FEATURES, NAMES, chosen_features


def test_the_features_have_25_000_numbers_together() -> None:
    assert sum(feature.bins * feature.cells for feature in FEATURES) == DIMENSIONS == 25_000
    assert len(set(NAMES)) == len(NAMES)


def test_features_are_taken_and_left_out_by_name() -> None:
    assert chosen_features(None, ()) == FEATURES
    assert [f.name for f in chosen_features(["faces", "hog"], ())] == ["hog", "faces"]
    assert [f.name for f in chosen_features(None, NAMES[1:])] == [NAMES[0]]


@pytest.mark.parametrize(
    ("only", "without", "said"),
    [(["sift"], (), "sift"), (None, ("hug",), "hug"), (["hog"], ("hog",), "leaves no feature")],
)
def test_unknown_names_and_nothing_at_all_are_refused(
    only: list[str] | None, without: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        chosen_features(only, without)
