"""May this go on? What something was begun with against what it is now: one comparison, one wording."""

from collections.abc import Mapping
from typing import Any

_LONGEST = 120


def changes(
    begun: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    only_common: bool = False,
    wording: str = "{name} was {begun} and is {now} now",
) -> list[str]:
    """Every value that differs, in words.

    Args:
        begun: Facts by name, as they were.
        now: As they are.
        only_common: Pass over what one side does not know, such as a file of an earlier version.
        wording: How one difference is said.
    """
    names = [name for name in dict.fromkeys([*begun, *now]) if not only_common or (name in begun and name in now)]
    return [
        wording.format(name=name, begun=_short(begun.get(name)), now=_short(now.get(name)))
        for name in names
        if begun.get(name) != now.get(name)
    ]


def leaves(facts: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Values that are no mappings, by their dotted names without `init_args`."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            found |= leaves(value, above if name == "init_args" else f"{above}{name}.")
        else:
            found[f"{above}{name}"] = value
    return found


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
