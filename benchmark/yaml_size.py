"""Configurations of a few hundred bytes whose aliases stand for billions of values are refused before they are read."""

import yaml

from benchmark.errors import UserError

_MOST_BYTES = 2_000_000
_MOST_VALUES = 200_000


def require_small_yaml(text: str, name: str) -> None:
    """Refuse a text whose values, each alias written out, are too many; one that is no YAML is for others to judge.

    Args:
        text: The text.
        name: The option and file that it came by, for the message.

    Raises:
        UserError: If it is too large, nested too deeply, or contains itself.
    """
    if len(text) > _MOST_BYTES:
        raise UserError(f"{name} has {len(text):,} characters; a configuration has at most {_MOST_BYTES:,}")
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        values = 0 if root is None else _values(root, {})
    except yaml.YAMLError:
        return
    except RecursionError:
        raise UserError(f"{name} is nested too deeply, or contains itself") from None
    if values > _MOST_VALUES:
        raise UserError(
            f"{name} has {values:,} values once its aliases are written out; allowed are {_MOST_VALUES:,}. Write fewer "
            "aliases of aliases"
        )


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """Values below a node, itself included; each node is looked at once."""
    if id(node) not in known:
        known[id(node)] = 1
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(node)]
