"""The parts of a declaration: source, label, columns, value, monitoring and retraining."""

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mlops_assets.windows import Every

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(value: object) -> object:
    """Return '2d', '12h', '30m', '45s' or '1w' as a timedelta; anything else goes to pydantic as it is.

    Raises:
        ValueError: If it is a number other than 0: nobody can tell of what.
    """
    if isinstance(value, bool) or (isinstance(value, int | float) and value != 0):
        raise ValueError(f"{value} has no unit; right is a number and a unit: 45s, 30m, 12h, 2d, 1w")
    if isinstance(value, str) and (found := re.fullmatch(r"(\d+)(ms|[smhdw])", value)):
        return timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    if isinstance(value, str) and not value.startswith("P"):
        raise ValueError(f"{value!r} is no duration; right is a number and a unit: 45s, 30m, 12h, 2d, 1w")
    return value


def duration_seconds(text: str) -> float:
    """Return '2s', '30m' or '1d' in seconds.

    Raises:
        ValueError: If it is no duration.
    """
    found = duration(text)
    if not isinstance(found, timedelta):
        raise ValueError(f"{text!r} is no duration; right is a number and a unit: 45s, 30m, 12h, 2d, 1w")
    return found.total_seconds()


Duration = Annotated[timedelta, BeforeValidator(duration), Field(ge=timedelta(0))]
Period = Annotated[timedelta, BeforeValidator(duration), Field(gt=timedelta(0))]


class Part(BaseModel):
    """A part of the declaration: frozen, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Image(Part):
    """A column of `source` that names image files, from the source's own folder on, and what each has to be.

    `sha256` names the column that holds the hash of the file's bytes, in hex.
    """

    column: str
    height: Annotated[int, Field(ge=1, le=4096)]
    width: Annotated[int, Field(ge=1, le=4096)]
    channels: Literal[1, 3] = 1
    sha256: str | None = None


class Source(Part):
    """Where rows come from: a CSV, Parquet or NDJSON file, folder or glob, or a Python function.

    A function takes no argument; with `image` it takes the folder in which it may keep its files, as a Path.
    """

    path: str | None = None
    function: str | None = None
    time: str | None = None
    key: str | None = None
    segment: str | None = None
    subject: str | None = None
    image: Image | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.path is None) == (self.function is None):
            raise ValueError("a source has either `path` or `function`, found " + ("both" if self.path else "neither"))
        return self

    @property
    def roles(self) -> tuple[str, ...]:
        """The columns that identify a row and are no model inputs by default."""
        return tuple(c for c in (self.key, self.time, self.segment, self.subject) if c is not None)


class Label(Part):
    """What is predicted, and how long after the row's time it is known.

    With `annotator`, the column that names who judged, the source has a row for each judgement of an item.
    """

    column: str
    annotator: str | None = None
    delay: Duration = timedelta(0)
    kind: Literal["binary", "multiclass", "regression"] = "binary"


class Column(Part):
    """What a column may hold. Without one, type and nulls are read off the source's first load and then frozen."""

    type: Literal["int", "float", "str", "bool", "datetime", "image"]
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    isin: tuple[str, ...] | None = None


def _column(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


DeclaredColumn = Annotated[Column, BeforeValidator(_column)]  # `age: int` is short for `age: {type: int}`


class Monitor(Part):
    """How finely live traffic is sealed and judged."""

    every: Every = "day"
    grace: Duration = timedelta(seconds=60)


Amount = Annotated[float, Field(allow_inf_nan=False)]


class Value(Part):
    """What each outcome of a binary prediction is worth, in money; a row is acted on from `threshold` on."""

    true_positive: Amount = 0.0
    false_positive: Amount = 0.0
    true_negative: Amount = 0.0
    false_negative: Amount = 0.0
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @model_validator(mode="after")
    def _worth_something(self) -> Self:
        amounts = (self.true_positive, self.false_positive, self.true_negative, self.false_negative)
        if not any(amounts):
            raise ValueError("every amount is 0; right is the money of at least one outcome, as `true_positive: 100`")
        return self


class Budget(Part):
    """How many trainings of one segment may start within any `per`."""

    trainings: Annotated[int, Field(ge=1)]
    per: Period


class Retrain(Part):
    """What starts a training of a segment, and what it needs. Open alarms and people always ask.

    `every` asks at the latest so long after the last training, `on_new_data` when labels of a newer window than the
    champion's are in, `on_new_recipe` when trainer, features or code are no longer the champion's. An alarm counts if
    the columns that moved carry `importance` of the model's, or the score moved by `score_shift` sd of training's
    scores, or the loss rose. `min_rows` counts labelled rows newer than those that the champion learned from. With
    `mends` alarms wait while the newest labelled rows show that a training would mend nothing.
    """

    cooldown: Duration = timedelta(days=1)
    min_rows: Annotated[int, Field(ge=1)] = 500
    importance: Annotated[float, Field(ge=0, le=1)] = 0.05
    score_shift: Annotated[float, Field(ge=0)] = 0.1
    mends: bool = True
    attempts: Annotated[int, Field(ge=1)] = 2
    every: Period | None = None
    on_new_data: bool = False
    on_new_recipe: bool = False
    budget: Budget | None = None
