"""The figures of `plugins`; what it lists of other packages is tested in tests/test_plugins.py."""

import pytest

from benchmark.commands.plugins import model_rows
from benchmark.models import SingleFrame, SlowFusion, VideoClassifier
from benchmark.plugins import Offered
from tests.generators.broken_models import Demanding, NeedsClips, Sound

CLASSES = 487
SINGLE_FRAME = (
    (96 * 3 * 11 * 11 + 96)
    + (256 * 96 * 5 * 5 + 256)
    + (384 * 256 * 3 * 3 + 384)
    + (384 * 384 * 3 * 3 + 384)
    + (256 * 384 * 3 * 3 + 256)
    + (7 * 7 * 256 * 4096 + 4096)
    + (4096 * 4096 + 4096)
    + (4096 * 487 + 487)
)


@pytest.mark.parametrize(
    ("network", "row"),
    [
        (SingleFrame, ["1 of 16", "170", f"{SINGLE_FRAME:,}", "2.60"]),
        (Sound, ["2 of 16", "16", f"{(6 * 8 + 8) + 2 * 8 + (8 * CLASSES + CLASSES):,}", "0.00"]),
        (Demanding, ["", "", "", "needs size"]),
        (NeedsClips, ["2 of 16", "16", "4,455", "0.00"]),
    ],
)
def test_a_row(network: type[VideoClassifier], row: list[str]) -> None:
    assert model_rows(Offered("model", network, "here 1"), costs=True) == [[network.__name__, "here 1", *row]]


def test_hints_for_a_type_checker_alone_break_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Demanding.__init__.__annotations__, "size", "NeverImported")
    assert model_rows(Offered("model", Demanding, "here 1"), costs=True) == [
        ["Demanding", "here 1", "", "", "", "needs size"]
    ]


def test_without_costs() -> None:
    assert model_rows(Offered("model", SlowFusion, "here 1"), costs=False) == [
        ["SlowFusion", "here 1", "10 of 16", "170"]
    ]
