"""YAML that a user wrote, read strictly: what a reader would otherwise drop without a word is refused."""

from typing import Any

import yaml

from benchmark.errors import UserError

_MOST_BYTES = 2_000_000
_MOST_VALUES = 200_000


def read_yaml(text: str, where: str) -> Any:
    """What a text in YAML says.

    Args:
        text: The text.
        where: What messages call it, as in `--config my.yaml`.

    Raises:
        UserError: If a key is there twice in one place, it is nested too deeply or contains itself, or has too many
            values once its aliases are written out.
        yaml.YAMLError: If it is not in YAML.
    """
    if len(text) > _MOST_BYTES:
        raise UserError(f"{where} has {len(text):,} characters; a configuration has at most {_MOST_BYTES:,}")
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        if node is not None:
            if (values := _values(node, {})) > _MOST_VALUES:
                raise UserError(
                    f"{where} has {values:,} values once its aliases are written out; allowed are {_MOST_VALUES:,}. "
                    "Write fewer aliases of aliases"
                )
            _require_unique_keys(node, where, set())
        return yaml.safe_load(text)
    except RecursionError:
        raise UserError(f"{where} is nested too deeply to be a configuration; give another") from None
    except ValueError as error:  # of a number or date that cannot be
        if isinstance(error, UserError):
            raise
        raise yaml.YAMLError(str(error)) from error


def _require_unique_keys(node: yaml.Node, where: str, seen: set[int]) -> None:
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            _require_unique_keys(entry, where, seen)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        # Several mappings may be merged into one by `<<`.
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in lines:
                raise UserError(
                    f"{where} has the key {key.value} twice in one place, in lines {lines[key.value]} and {line}; "
                    "remove one of them"
                )
            lines[key.value] = line
        _require_unique_keys(value, where, seen)


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
