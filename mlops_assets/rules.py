"""The rules of a declaration: how a model is trained, what it must reach, who has to agree, and what it may cost."""

import re
from difflib import get_close_matches
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from mlops_assets.parts import Amount, Part, Period

TRAINERS = ("lightgbm", "torch")
Scalar = int | float | str | bool
Share = Annotated[float, Field(ge=0, le=1)]


def _with_unit(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError(f"{value} has no unit; right is a number and a unit, such as 5ms")
    return value


Latency = Annotated[Period, BeforeValidator(_with_unit)]


def _known_kind(kind: str) -> str:
    if kind not in TRAINERS and "." not in kind:
        near = "".join(f" (did you mean {each!r}?)" for each in get_close_matches(kind, TRAINERS, n=1))
        known = f"{', '.join(TRAINERS)}, or a function 'package.module.function'"
        raise ValueError(f"no trainer {kind!r}{near}; known trainers: {known}")
    return kind


Kind = Annotated[str, BeforeValidator(_known_kind)]


class Trainer(Part):
    """How a model is fitted: on the last `windows` windows; with `forget`, validation chooses how many of them.

    `kind` is lightgbm, torch, or a function of one's own.
    """

    kind: Kind = "lightgbm"
    windows: Annotated[int, Field(ge=1, le=1000)] = 1
    forget: bool = False
    params: dict[str, Scalar] = Field(default_factory=dict[str, Scalar])


class Range(Part):
    """Numbers from `low` up to and with `high`: whole ones if both are; `log` draws evenly over their logarithms."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            right = "0 < low < high" if self.log else "low < high"
            raise ValueError(f"low is {self.low}, high is {self.high}; right is {right}")
        return self


def _sort_of(among: object) -> str:
    is_range, is_list = isinstance(among, dict | Range), isinstance(among, list | tuple)
    return "[range]" if is_range else "[list]" if is_list else "[value]"


Choices = Annotated[tuple[Scalar, ...], Field(min_length=1)]
Among = Annotated[  # sorted by form, so that an error is told of the form that was meant
    Annotated[Scalar, Tag("[value]")] | Annotated[Choices, Tag("[list]")] | Annotated[Range, Tag("[range]")],
    Discriminator(_sort_of),
]


class Searched(Part):
    """A trainer that is tried: each parameter is a value, a list of values to choose from, or a range."""

    kind: Kind
    params: dict[str, Among] = Field(default_factory=dict[str, "Among"])


class Search(Part):
    """Which trainers and parameters are tried, and when it ends: after `trials`, or the first after `minutes`."""

    trainers: Annotated[tuple[Searched, ...], Field(min_length=1)]
    trials: Annotated[int, Field(ge=1, le=10_000)] = 20
    minutes: Annotated[float, Field(gt=0)] | None = None


class Slices(Part):
    """Parts of the held-out rows, one for each value of each column: none may be worse than all rows by over `drop`."""

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    drop: Annotated[float, Field(ge=0)] = 0.05
    min_rows: Annotated[int, Field(ge=10)] = 100


class Robustness(Part):
    """How much of the metric may be lost, `drop`, when the inputs are damaged in each of these ways, one at a time.

    `noise` is in sd of each number, `nulls` the share of values that go missing, `lost_column` empties each feature.
    """

    noise: Annotated[float, Field(ge=0)] = 0.1
    nulls: Share = 0.05
    lost_column: bool = False
    drop: Annotated[float, Field(ge=0)] = 0.1


class Fairness(Part):
    """What the rates of the product's `groups` may differ by. Groups of fewer than `min_rows` rows are not compared.

    `ratio` is the least ratio of selection rates, `equalized_odds` the greatest difference of true or false positive
    rates. `intersections` compares combinations of the groups too.
    """

    ratio: Share = 0.80
    equalized_odds: Share = 0.10
    min_rows: Annotated[int, Field(ge=1)] = 100
    intersections: bool = True


class Gate(Part):
    """What a candidate has to reach: `floor` on the metric, `margin` over the champion, and what else is declared.

    `calibration` is the greatest expected calibration error, `latency` the greatest 99th percentile of scoring one row,
    `value` the least worth per row of what `value:` declares.
    """

    metric: Literal["auc", "accuracy", "f1", "log_loss", "rmse"] = "auc"
    floor: Amount
    margin: Amount = 0.0
    calibration: Share | None = None
    latency: Latency | None = None
    value: Amount | None = None
    slices: Slices | None = None
    robustness: Robustness | None = None
    fairness: Fairness | None = None


class Decide(Part):
    """From which probability on a binary prediction is acted on. It is versioned with the model."""

    threshold: Annotated[float, Field(gt=0, lt=1)]


class Approval(Part):
    """Who has to agree before a candidate is promoted: one person for each role, none of them for two.

    An approval counts for `expires` from when it was given.
    """

    roles: Annotated[tuple[str, ...], Field(min_length=1)]
    expires: Period = Field(default="14d", validate_default=True)  # pyright: ignore[reportAssignmentType]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if twice := next((role for role in self.roles if self.roles.count(role) > 1), None):
            raise ValueError(f"`roles` names {twice!r} twice; a role is one person's")
        return self


def _memory(amount: object) -> object:
    if isinstance(amount, str) and re.fullmatch(r"[1-9]\d*(Mi|Gi)", amount):
        return amount
    found = re.match(r"\s*([1-9]\d*)\s*([GM])", str(amount), re.IGNORECASE)
    near = f"{found[1]}{found[2].upper()}i" if found else "512Mi or 16Gi"
    raise ValueError(f"{amount!r} is no amount of memory; right is a whole number and Mi or Gi, such as {near}")


Memory = Annotated[str, BeforeValidator(_memory)]


class Need(Part):
    """What a training step asks of a machine, where it differs from the product's own `compute`."""

    gpu: Annotated[int, Field(ge=0, le=16)] | None = None
    cpu: Annotated[float, Field(gt=0)] | None = None
    memory: Memory | None = None
    minutes: Annotated[int, Field(ge=1)] | None = None


class Compute(Part):
    """What a training step asks of a machine; `segments` says where one of them needs something else.

    With `cpu_if_no_gpu` a machine without a GPU trains on its CPU, where else it refuses.
    """

    gpu: Annotated[int, Field(ge=0, le=16)] = 0
    cpu: Annotated[float, Field(gt=0)] = 1
    memory: Memory = "2Gi"
    minutes: Annotated[int, Field(ge=1)] = 60
    cpu_if_no_gpu: bool = False
    segments: dict[str, Need] = Field(default_factory=dict[str, Need])

    def of(self, segment: str) -> "Compute":
        """Return what the training of one segment asks for."""
        own = self.segments.get(segment, Need()).model_dump(exclude_none=True)
        return self.model_copy(update={**own, "segments": {}})


class Spending(Part):
    """What a product's runs may use within any `per` before an alert is raised."""

    cpu_hours: Annotated[float, Field(gt=0)] | None = None
    gpu_hours: Annotated[float, Field(gt=0)] | None = None
    per: Period

    @model_validator(mode="after")
    def _limits(self) -> Self:
        if self.cpu_hours is None and self.gpu_hours is None:
            raise ValueError("spending limits nothing; right is `cpu_hours`, `gpu_hours` or both")
        return self
