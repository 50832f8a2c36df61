"""What a class can be given, and which name was meant."""

import dataclasses
from typing import Any

import pytest

from benchmark.class_options import empty_options, nearest, options_of, settings_of


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a class."""

    depth: int = 3


SETTINGS = Settings()


class Base:
    """Takes a few options."""

    def __init__(
        self, num_classes: int, *, rate: float, settings: Settings = SETTINGS, name: str | None = None
    ) -> None:
        self.given = (num_classes, rate, settings, name)


class Own(Base):
    """Takes those of the class above it, too."""

    def __init__(self, width: int = 3, anything: Any = 1, **others: Any) -> None:
        super().__init__(**others)
        self.width, self.anything = width, anything


class Plain(Own):
    """Has no constructor of its own."""


def test_a_class_has_the_options_of_those_above_it() -> None:
    assert list(options_of(Plain)) == ["anything", "name", "rate", "settings", "width"]
    assert list(options_of(Settings)) == ["depth"]
    assert options_of(object) == {}


def test_settings_are_known_by_their_type() -> None:
    assert settings_of(Plain, "settings") is Settings
    assert settings_of(Plain, "width") is None
    assert settings_of(Plain, "nothing") is None


def test_null_is_found_where_it_is_no_value() -> None:
    given = {"width": None, "rate": None, "name": None, "anything": None, "settings": {"depth": None}, "other": None}
    assert empty_options(Plain, given) == ["width", "rate"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("run_di", "run_dir"),
        ("Sinlge", "SingleFrame"),
        ("SDG", "SGD"),
        ("sgd", "SGD"),
        ("slow", "SlowFusion"),
        ("a", None),
        ("foo", None),
        ("", None),
    ],
)
def test_the_nearest_name(name: str, meant: str | None) -> None:
    assert nearest(name, ["SingleFrame", "SlowFusion", "run_dir", "SGD", "allow_contaminated", "root"]) == meant
