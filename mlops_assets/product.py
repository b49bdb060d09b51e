"""The declaration of a model product, and the order of its flow."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mlops_assets.windows import ALL, Every, Grid

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
LENGTHS: tuple[Every, ...] = get_args(Every)
TRAINERS = ("lightgbm", "torch")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)  # monitoring windows of a product whose data has no time begin here
METRICS = {
    "binary": ("auc", "accuracy", "f1", "log_loss"),
    "multiclass": ("accuracy", "log_loss"),
    "regression": ("rmse",),
}
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Segment = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", max_length=100)]
Owner = Annotated[str, Field(pattern=r"^(team:.+|[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,})$")]


class Stage(StrEnum):
    """The steps of a product's life, in the order of the flow."""

    ANNOTATIONS = "annotations"
    DATASET = "dataset"
    FEATURES = "features"
    MODEL = "model"
    CHAMPION = "champion"
    ENDPOINT = "endpoint"
    PREDICTIONS = "predictions"
    PROFILE = "profile"
    DRIFT = "drift"
    PERFORMANCE = "performance"


DATA = (Stage.ANNOTATIONS, Stage.DATASET, Stage.FEATURES)
RETRAIN = (Stage.MODEL, Stage.CHAMPION, Stage.ENDPOINT)
SEAL = (Stage.PREDICTIONS, Stage.PROFILE, Stage.DRIFT, Stage.PERFORMANCE)


def duration(value: object) -> object:
    """Return '2d', '12h', '30m', '45s' or '1w' as a timedelta; anything else goes to pydantic as it is."""
    if isinstance(value, str) and (found := re.fullmatch(r"(\d+)([smhdw])", value)):
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


class Part(BaseModel):
    """A part of the declaration: frozen, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Part):
    """Where rows come from: a CSV, Parquet or NDJSON file, folder or glob, or a Python function."""

    path: str | None = None
    function: str | None = None
    time: str | None = None
    key: str | None = None
    segment: str | None = None
    subject: str | None = None

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
    """What is predicted, and how long after the row's time it is known."""

    column: str
    delay: Duration = timedelta(0)
    kind: Literal["binary", "multiclass", "regression"] = "binary"


class Column(Part):
    """What a column may hold. Without one, type and nulls are read off the source's first load and then frozen."""

    type: Literal["int", "float", "str", "bool", "datetime"]
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    isin: tuple[str, ...] | None = None


def _column(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


class Monitor(Part):
    """How finely live traffic is sealed and judged."""

    every: Every = "day"
    grace: Duration = timedelta(seconds=60)


class Trainer(Part):
    """How a model is fitted: on the last `windows` windows; with `forget`, validation chooses how many of them."""

    kind: str = "lightgbm"
    windows: Annotated[int, Field(ge=1, le=1000)] = 1
    forget: bool = False
    params: dict[str, int | float | str | bool] = {}

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.kind not in TRAINERS:
            raise ValueError(f"no trainer {self.kind!r}; known trainers: {', '.join(TRAINERS)}")
        return self


class Gate(Part):
    """What a candidate has to reach: `floor` on the metric, and `margin` over the champion."""

    metric: Literal["auc", "accuracy", "f1", "log_loss", "rmse"] = "auc"
    floor: float
    margin: float = 0.0


class Retrain(Part):
    """When an alarm may start a training."""

    cooldown: Duration = timedelta(days=1)
    min_rows: Annotated[int, Field(ge=1)] = 500
    importance: Annotated[float, Field(ge=0, le=1)] = 0.05
    attempts: Annotated[int, Field(ge=1)] = 2


class Compute(Part):
    """What a training step asks of a machine."""

    gpu: Annotated[int, Field(ge=0, le=16)] = 0
    cpu: Annotated[float, Field(gt=0)] = 1
    memory: Annotated[str, Field(pattern=r"^\d+(Mi|Gi)$")] = "2Gi"
    minutes: Annotated[int, Field(ge=1)] = 60


class ModelProduct(Part):
    """A model product: its data, its model, and the rules of its production life."""

    name: Name
    source: Source
    label: Label
    segments: Annotated[tuple[Segment, ...], Field(min_length=1)] = (ALL,)
    fallback: str | None = None
    windows: Grid | None = None
    monitor: Monitor = Monitor()
    features: tuple[str, ...] | str
    columns: dict[str, Annotated[Column, BeforeValidator(_column)]] = {}
    quarantine: Annotated[float, Field(ge=0, lt=1)] = 0.0
    trainer: Trainer = Trainer()
    gate: Gate = Gate(floor=0.5)
    retrain: Retrain = Retrain()
    compute: Compute = Compute()
    owners: tuple[Owner, ...] = ()  # an e-mail address, or team:name
    description: str | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.windows is None) != (self.source.time is None):
            raise ValueError("`windows` and `source.time` go together: rows are cut into windows by a time column")
        if self.windows is not None and LENGTHS.index(self.monitor.every) > LENGTHS.index(self.windows.every):
            raise ValueError(
                f"monitor.every: a {self.monitor.every} is longer than the windows, one {self.windows.every}"
            )
        if self.windows is not None and self.monitor.every == "hour" and self.windows.timezone != "UTC":
            raise ValueError(f"monitor.every: an hour needs `windows.timezone` UTC, found {self.windows.timezone!r}")
        if (self.segments != (ALL,)) != (self.source.segment is not None):
            raise ValueError("`segments` and `source.segment` go together: list the values that the column may hold")
        if len(set(self.segments)) != len(self.segments):
            raise ValueError(f"`segments` names one twice: {', '.join(self.segments)}")
        if self.fallback is not None and self.fallback not in self.segments:
            raise ValueError(f"no segment {self.fallback!r} to fall back to; known: {', '.join(self.segments)}")
        if self.label.column in self.source.roles:
            raise ValueError(f"{self.label.column!r} is the label and has another role in `source`; a column has one")
        if self.gate.metric not in METRICS[self.label.kind]:
            known = ", ".join(METRICS[self.label.kind])
            raise ValueError(f"gate: no metric {self.gate.metric!r} of a {self.label.kind} label; known: {known}")
        return self

    @model_validator(mode="after")
    def _features_are_inputs(self) -> Self:
        if self.features in ((), ""):
            raise ValueError(
                "`features` is empty; right is a list of columns, or one function 'package.module.function'"
            )
        listed = () if isinstance(self.features, str) else self.features
        source = self.source
        roles = {source.time: "time", source.key: "key", source.subject: "subject", self.label.column: "label"}
        for name in listed:
            if listed.count(name) > 1:
                raise ValueError(f"`features` names {name!r} twice")
            if name in roles:
                raise ValueError(f"the {roles[name]} {name!r} is among the features")
            if name in ("prediction", "loss"):
                raise ValueError(f"no feature may be called {name!r}: monitoring uses that name; rename the column")
        return self

    @property
    def grid(self) -> Grid:
        """The monitoring windows: from the start of the windows, without an end, since traffic goes on."""
        start, zone = (self.windows.start, self.windows.timezone) if self.windows else (EPOCH, "UTC")
        return Grid(every=self.monitor.every, start=start, timezone=zone)

    def key(self, stage: Stage | str) -> tuple[str, str]:
        """Return the asset key of a stage: `<product>/<stage>`."""
        return (self.name, str(stage))
