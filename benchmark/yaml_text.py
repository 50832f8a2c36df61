"""YAML that a user wrote, read strictly: what a reader would otherwise drop without a word is refused."""

from typing import Any

import yaml

from benchmark.errors import UserError


def read_yaml(text: str, where: str) -> Any:
    """What a text in YAML says.

    Args:
        text: The text.
        where: What messages call it, as in `--config my.yaml`.

    Raises:
        UserError: If a key is there twice in one place, or it is nested too deeply.
        yaml.YAMLError: If it is not in YAML.
    """
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        if node is not None:
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
