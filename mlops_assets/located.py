"""A YAML file -> the line of a field, for errors that say where."""

from collections.abc import Sequence

import yaml


def line_of(node: yaml.Node | None, loc: Sequence[int | str]) -> int:
    """Return the line of the deepest part of `loc` that the file has."""
    line = 1
    for step in loc:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = (node.value[step], node.value[step])
        if found is not None:  # a step that the file lacks: a missing field, or the type that pydantic tried
            line, node = found[0].start_mark.line + 1, found[1]
    return line
