"""Why a request is not answered: a status, one sentence, and each problem with what was found and what is right."""

import json

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing wrong with a request. `row` counts from 0, None where there is one; `field` is "" for a whole row."""

    field: str
    found: str
    right: str
    row: int | None = None

    def __str__(self) -> str:
        """Return the problem as one sentence."""
        where = "" if self.row is None else f"row {self.row}: "
        field = f"field {self.field!r}: " if self.field else ""
        return f"{where}{field}found {self.found}; right is {self.right}"


class Refused(Exception):
    """A request that is answered with `status`, 4xx or 503, and never with a guess."""

    def __init__(self, status: int, error: str, problems: tuple[Problem, ...] = ()) -> None:
        """Say what was wrong, what was found and what would be right."""
        super().__init__(error)
        self.status = status
        self.problems = problems


def bad_rows(problems: list[Problem]) -> Refused:
    """Return the refusal of rows that do not fit the model; the first problem is the sentence."""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return Refused(422, f"{problems[0]}{more}", tuple(problems[:100]))


def told(value: object) -> str:
    """Return a JSON value as a message shows it: shortened, with its type."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    kind = "text" if isinstance(value, str) else type(value).__name__
    shown = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)
    return f"{shown if len(shown) <= 60 else shown[:57] + '...'} ({kind})"
