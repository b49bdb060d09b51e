"""Why a request is not answered: a status, one sentence, and each problem with what was found and what is right."""

import json
from collections.abc import Iterable
from itertools import islice

import msgspec

MOST_PROBLEMS = 100
_LONGEST = 2_000  # characters of a sentence that quotes what was sent


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

    def __init__(
        self,
        status: int,
        error: str,
        problems: tuple[Problem, ...] = (),
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        """Say what was wrong, what was found and what would be right; `headers` go with the answer."""
        super().__init__(error if len(error) <= _LONGEST else f"{error[: _LONGEST - 3]}...")
        self.status = status
        self.problems = problems
        self.headers = headers


def bad_rows(problems: Iterable[Problem]) -> Refused:
    """Return the refusal of rows that do not fit the model; the first problem is the sentence.

    No more than the first hundred are looked for: a body may have millions.
    """
    found = list(islice(problems, MOST_PROBLEMS + 1))
    others = f"over {MOST_PROBLEMS - 1}" if len(found) > MOST_PROBLEMS else str(len(found) - 1)
    more = f" (and {others} more)" if len(found) > 1 else ""
    return Refused(422, f"{found[0]}{more}", tuple(found[:MOST_PROBLEMS]))


def counted(rows: int, most: int) -> None:
    """Check how many rows a body holds, before anything is made of them.

    Raises:
        Refused: 413 if they are more than `most`.
    """
    if rows > most:
        raise Refused(413, f"the body holds {rows} rows; right is {most} or fewer")


def told(value: object) -> str:
    """Return a JSON value as a message shows it: shortened, with its type."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    kind = "text" if isinstance(value, str) else type(value).__name__
    shown = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)
    return f"{shown if len(shown) <= 60 else shown[:57] + '...'} ({kind})"
