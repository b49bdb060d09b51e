"""The rules of an endpoint: who answers, what the log keeps, and how much is taken at once."""

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, FailFast, Field, PlainSerializer, model_validator

from mlops_assets.parts import Duration, Part, Period

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def percent(value: object) -> object:
    """Return '5%' as 0.05.

    Raises:
        ValueError: If it has no percent sign, or is none from 0% to 100%.
    """
    found = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    share = float(found[1]) / 100 if found else -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"{value!r} is no share of the traffic; right is a percentage, such as 5%")
    return share


def as_percent(share: float) -> str:
    """Return 0.05 as '5%'."""
    return f"{100 * share:.10f}".rstrip("0").rstrip(".") + "%"


def share(value: object) -> object:
    """Return '50%' as 0.5, and anything else as it is."""
    found = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(found[1]) / 100 if found else value


def difference(value: object) -> object:
    """Return what is no percentage as it is.

    Raises:
        ValueError: If it is one: nobody can tell of what.
    """
    if isinstance(value, str) and value.strip().endswith("%"):
        raise ValueError(f"found {value!r}; it is a difference and no share; right is a number, such as 0.05")
    return value


Percent = Annotated[float, BeforeValidator(percent), PlainSerializer(as_percent)]


class Canary(Part):
    """The ramp by which a promoted candidate becomes champion, and what takes it back.

    It answers each of `steps` of the requests, up to the whole as champion, for at least `hold` and `min_requests` of
    its own. It is taken back when its rate of errors is higher than the champion's by over `errors`, its 95th
    percentile of latency greater by over the share `latency`, its scores differ by over `score_shift` (population
    stability index), or, with `quality`, its mean loss on matured outcomes (Brier score, share of wrong classes, or
    squared error of a value) is greater by over that; each only once
    chance is no likely cause. `min_outcomes` of its own are waited for.
    """

    steps: Annotated[tuple[Percent, ...], FailFast()]
    hold: Period = timedelta(hours=1)
    min_requests: Annotated[int, Field(ge=1)] = 200
    errors: Annotated[float, BeforeValidator(share), Field(ge=0, le=1)] = 0.01
    latency: Annotated[float, BeforeValidator(share), Field(ge=0)] = 0.5
    score_shift: Annotated[float, BeforeValidator(difference), Field(ge=0)] = 0.25
    quality: Annotated[Annotated[float, Field(ge=0)] | None, BeforeValidator(difference)] = None
    min_outcomes: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _ramp(self) -> Self:
        ascending = all(low < high for low, high in zip(self.steps, self.steps[1:], strict=False))
        if not self.steps or not ascending or self.steps[0] <= 0 or self.steps[-1] != 1:
            shown = ", ".join(f"{step:.6g}" for step in (100 * each for each in self.steps))
            raise ValueError(f"canary.steps: found {shown or 'no'} percent; right is an ascent from over 0% to 100%")
        return self


def _steps(value: object) -> object:
    return dict[str, object](steps=value) if isinstance(value, list | tuple) else value  # pyright: ignore


class Kept(Part):
    """What the inference log keeps, and how safely.

    `features`: all computed ones, or their hash and the whole of a `sample` of the requests. `sync` forces every group
    of answers to the platter before they leave, against power loss. `when_full`: while the disk takes nothing, refuse
    with 503, or serve unlogged and count.
    """

    features: Literal["whole", "hash"] = "whole"
    sample: Percent = 0.01
    sync: bool = False
    when_full: Literal["refuse", "serve"] = "refuse"


class Limits(Part):
    """How much is taken at once: requests being answered, bytes of a body, rows of a batch, time for a request."""

    in_flight: Annotated[int, Field(ge=1)] = 512
    body: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024
    rows: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    time: Period = timedelta(seconds=30)


class Endpoint(Part):
    """How a product is served. `sticky` is the request column whose value decides who answers (default: by chance).

    A promoted candidate first runs as shadow for `shadow`, then as canary by the ramp; without either it answers at
    once. `personal` columns are logged as a keyed hash, or left out.
    """

    sticky: str | None = None
    canary: Annotated[Canary, BeforeValidator(_steps)] | None = None
    shadow: Period | None = None
    personal: dict[str, Literal["hash", "omit"]] = Field(default_factory=dict[str, Literal["hash", "omit"]])
    log: Kept = Kept()
    limits: Limits = Limits()


def check_personal(
    endpoint: Endpoint, asked: tuple[str, ...] | None, *, key: str | None, segment: str | None, groups: tuple[str, ...]
) -> None:
    """Check that requests have the personal columns (`asked`, None if unknown), and that the log can do without them.

    Raises:
        ValueError: At the first that is not.
    """
    for name, how in endpoint.personal.items():
        if name == segment:
            raise ValueError(f"endpoint.personal: {name!r} is the segment, by which the log is kept; it stays readable")
        if asked is not None and name not in asked:
            raise ValueError(f"endpoint.personal: no request has a column {name!r}; requests have {', '.join(asked)}")
        if name in groups:
            raise ValueError(f"endpoint.personal: `groups` compares the values of {name!r} in the log; it {how}s them")
        if name != key and endpoint.log.features == "hash":
            raise ValueError(
                f"endpoint.log.features: a hash is checked by computing the features again from the log, which does "
                f"not hold the personal {name!r}; right is `whole`"
            )


class Scores(Part):
    """A table that is scored by the champion, window by window, with no request: `path` as in `source`.

    `time` and `key` name its columns, as those of the source where left out; without a time, rows are of when their
    file was written. A monitoring window is scored `delay` after its end; rows that come later are added.
    """

    path: str
    time: str | None = None
    key: str | None = None
    delay: Duration = timedelta(0)
