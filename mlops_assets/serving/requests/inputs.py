"""What one request field may hold: in words, and of an image or a time whether it can be used."""

from datetime import UTC, datetime
from typing import TypeGuard

from mlops_assets.intake.images import BadImage, Shape, pixels, wanted
from mlops_assets.training.model import ColumnSpec

_SHOWN = 20  # categories named in a message


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Return whether a parsed JSON value is an object."""
    return isinstance(value, dict)


def right(spec: ColumnSpec) -> str:
    """Return in words what a column may hold."""
    if spec.type == "image":
        said = f"base64 of an image file: {wanted(shape_of(spec))}"
    elif spec.type == "str" and spec.isin:
        more = f" and {len(spec.isin) - _SHOWN} more" if len(spec.isin) > _SHOWN else ""
        said = "one of " + ", ".join(repr(level) for level in spec.isin[:_SHOWN]) + more
    else:
        said = {
            "int": "an int",
            "float": "a number",
            "str": "text",
            "bool": "true or false",
            "datetime": "a time such as '2026-01-31T12:00:00Z'",
        }[spec.type]
    if spec.min is not None:
        said += f", at least {spec.min:.12g}"
    if spec.max is not None:
        said += f", at most {spec.max:.12g}"
    return said + (", or null" if spec.nullable else "")


def shape_of(spec: ColumnSpec) -> Shape:
    """Return the height, width and channels of an image column."""
    height, width, channels = spec.shape or (0, 0, 1)
    return height, width, channels


def unusable(value: object, spec: ColumnSpec) -> str | None:
    """Return what an image or a time is instead of one that can be used; None if it is right."""
    try:
        if isinstance(value, bytes):
            pixels(value, shape_of(spec))
        elif isinstance(value, datetime):
            value.astimezone(UTC)
    except BadImage as problem:
        return str(problem)
    except OverflowError:
        return f"{value} (a time before the year 1 or after 9999 in UTC)"
    return None
