"""The declaration of a model product, and the order of its flow."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Self, get_args

from pydantic import Field, model_validator

from mlops_assets.endpoint import Canary, Endpoint, Kept, Limits, Scores, check_personal
from mlops_assets.parts import (
    Budget,
    Column,
    DeclaredColumn,
    Image,
    Label,
    Monitor,
    Part,
    Retrain,
    Source,
    Value,
)
from mlops_assets.rules import Approval, Compute, Decide, Gate, Search, Spending, Trainer
from mlops_assets.windows import ALL, Every, Grid

__all__ = [  # whoever declares a product in Python finds all parts here
    "DATA",
    "EPOCH",
    "RETRAIN",
    "SCORE",
    "SEAL",
    "Approval",
    "Budget",
    "Canary",
    "Column",
    "Compute",
    "Decide",
    "Endpoint",
    "Gate",
    "Image",
    "Kept",
    "Label",
    "Limits",
    "ModelProduct",
    "Monitor",
    "Retrain",
    "Scores",
    "Search",
    "Source",
    "Spending",
    "Stage",
    "Trainer",
    "Value",
]

LENGTHS: tuple[Every, ...] = get_args(Every)
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
    SCORES = "scores"
    PREDICTIONS = "predictions"
    PROFILE = "profile"
    DRIFT = "drift"
    PERFORMANCE = "performance"


DATA = (Stage.ANNOTATIONS, Stage.DATASET, Stage.FEATURES)
RETRAIN = (Stage.MODEL, Stage.CHAMPION, Stage.ENDPOINT)
SEAL = (Stage.PREDICTIONS, Stage.PROFILE, Stage.DRIFT, Stage.PERFORMANCE)
SCORE = (Stage.SCORES, *SEAL)  # of a window of the table


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
    columns: dict[str, DeclaredColumn] = Field(default_factory=dict[str, DeclaredColumn])
    quarantine: Annotated[float, Field(ge=0, lt=1)] = 0.0
    trainer: Trainer = Trainer()
    search: Search | None = None
    gate: Gate = Gate(floor=0.5)
    decide: Decide | None = None
    approval: Approval | None = None
    value: Value | None = None
    groups: tuple[str, ...] = ()  # request columns whose values are compared for fairness
    retrain: Retrain = Retrain()
    endpoint: Endpoint = Endpoint()
    scores: Scores | None = None
    compute: Compute = Compute()
    spending: Spending | None = None
    team: str | None = None
    project: str | None = None
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
        label, image = self.label, source.image
        roles = {source.time: "time", source.key: "key", source.subject: "subject", label.column: "label"}
        roles |= {label.annotator: "annotator", image and image.sha256: "hash of an image"}
        for name in listed:
            if listed.count(name) > 1:
                raise ValueError(f"`features` names {name!r} twice")
            if name in roles:
                raise ValueError(f"the {roles[name]} {name!r} is among the features")
            if name in ("prediction", "loss"):
                raise ValueError(f"no feature may be called {name!r}: monitoring uses that name; rename the column")
        return self

    @model_validator(mode="after")
    def _images_and_judgements(self) -> Self:
        source, image, annotator = self.source, self.source.image, self.label.annotator
        if annotator is not None and source.key is None:
            raise ValueError("label.annotator: nothing says which judgements are of one item; name its `source.key`")
        if annotator is not None and annotator in (*source.roles, self.label.column):
            raise ValueError(f"{annotator!r} names the annotator and has another role; a column has one")
        if image is not None and image.column in (*source.roles, self.label.column, annotator, image.sha256):
            raise ValueError(f"{image.column!r} names the image and has another role; a column has one")
        if image is not None and not isinstance(self.features, str) and image.column in self.features:
            right = "a function that makes numbers of it, with mlops_assets.features.images.pixels"
            raise ValueError(f"features: {image.column!r} is an image; right is {right}")
        for name, column in self.columns.items():
            if column.type == "image" and (image is None or image.column != name):
                raise ValueError(f"columns.{name}: an image is declared as `source.image`, with its size")
        return self

    @model_validator(mode="after")
    def _sticky_is_asked_for(self) -> Self:
        sticky, source = self.endpoint.sticky, self.source
        if sticky is None or sticky == source.key:
            return self
        if sticky == source.segment:
            raise ValueError(
                f"endpoint.sticky: all requests of a segment have the same {sticky!r}; right is what tells apart "
                "whose requests they are, such as the key"
            )
        if not isinstance(self.features, str) and sticky not in self.features:
            known = ", ".join([*self.features, *filter(None, [source.key])])
            raise ValueError(f"endpoint.sticky: no request has a column {sticky!r}; requests have {known}")
        return self

    @model_validator(mode="after")
    def _personal_is_asked_for(self) -> Self:
        asked = None if isinstance(self.features, str) else (*self.features, *filter(None, [self.source.key]))
        check_personal(self.endpoint, asked, key=self.source.key, segment=self.source.segment, groups=self.groups)
        return self

    @model_validator(mode="after")
    def _watched_as_labelled(self) -> Self:
        kind = self.label.kind
        if self.value is not None and kind != "binary":
            raise ValueError(f"value: true and false positives are worth money; a {kind} label has none of them")
        if self.groups and kind == "regression":
            raise ValueError("groups: rates of groups are of classes; a regression label has none")
        for name in self.groups:
            if self.groups.count(name) > 1:
                raise ValueError(f"`groups` names {name!r} twice")
            if not isinstance(self.features, str) and name not in self.features:
                known = ", ".join(self.features)
                raise ValueError(f"groups: no request has a column {name!r}; requests have the features: {known}")
        return self

    @model_validator(mode="after")
    def _rules_fit(self) -> Self:
        for segment in self.compute.segments:
            if segment not in self.segments:
                raise ValueError(f"compute.segments: no segment {segment!r}; known: {', '.join(self.segments)}")
        if self.decide is not None and self.label.kind != "binary":
            raise ValueError(f"decide: a threshold cuts a probability; a {self.label.kind} label has none to cut")
        if self.search is not None and (named := sorted({"kind", "params"} & self.trainer.model_fields_set)):
            raise ValueError(f"trainer: `search` says what is tried; leave `{'` and `'.join(named)}` out of `trainer`")
        if self.gate.value is not None and self.value is None:
            raise ValueError("gate.value: nothing says what outcomes are worth; declare `value:` too")
        if self.gate.calibration is not None and self.label.kind == "regression":
            raise ValueError("gate.calibration: it is of probabilities; a regression gives none")
        if self.gate.fairness is not None and not self.groups:
            raise ValueError("gate.fairness: no groups to compare; list the columns in `groups:`")
        return self

    @property
    def grid(self) -> Grid:
        """The monitoring windows: from the start of the windows, without an end, since traffic goes on."""
        start, zone = (self.windows.start, self.windows.timezone) if self.windows else (EPOCH, "UTC")
        return Grid(every=self.monitor.every, start=start, timezone=zone)

    def key(self, stage: Stage | str) -> tuple[str, str]:
        """Return the asset key of a stage: `<product>/<stage>`."""
        return (self.name, str(stage))
