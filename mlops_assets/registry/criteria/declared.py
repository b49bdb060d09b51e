"""The declared criteria -> a claim about the candidate's record for each. One that cannot be measured has failed."""

from collections.abc import Callable
from datetime import datetime

import polars as pl

from mlops_assets.intake.functions import BROKEN_CODE
from mlops_assets.product import ModelProduct
from mlops_assets.registry.criteria.calibration import calibration
from mlops_assets.registry.criteria.fairness import fairness
from mlops_assets.registry.criteria.online import features_are_equal, latency
from mlops_assets.registry.criteria.robustness import robustness
from mlops_assets.registry.criteria.slices import slices
from mlops_assets.registry.criteria.subject import Finding, Subject
from mlops_assets.registry.criteria.worth import worth
from mlops_assets.registry.gate import Claim

Criterion = Callable[[Subject], Finding]

ONLINE = "features_are_equal"
CRITERIA = {
    ONLINE: "Held-out rows asked one by one, as requests are, have the features and scores of the batch.",
    "calibration": "The expected calibration error is not surely over its limit.",
    "latency": "The 99th percentile of scoring one row is within its limit.",
    "value": "A row is worth what is asked for, and surely not less than with the champion.",
    "slices": "No part of the rows is surely worse than all of them by more than is allowed.",
    "robustness": "Noise, missing values and a lost column surely cost no more of the metric than is allowed.",
    "fairness": "No two groups surely fare differently by more than is allowed.",
}
WAIVABLE = tuple(name for name in CRITERIA if name != ONLINE)  # without equal answers nothing measured would hold


def declared(product: ModelProduct) -> tuple[str, ...]:
    """Return the names of the criteria that a candidate of `product` has to meet, beside floor and margin."""
    return tuple(_criteria(product))


def measured(subject: Subject, product: ModelProduct, record: str, at: datetime) -> tuple[Claim, ...]:
    """Return a claim about `record` for each declared criterion, measured at `at`."""
    return tuple(_claim(name, measure, subject, record, at) for name, measure in _criteria(product).items())


def unmeasured(product: ModelProduct, record: str, at: datetime, problem: str) -> tuple[Claim, ...]:
    """Return a failed claim about `record` for each declared criterion; `problem` kept them from being measured."""
    words = f"cannot tell: {problem}"
    return tuple(Claim(name=name, record=record, passed=False, at=at, words=words) for name in declared(product))


def _criteria(product: ModelProduct) -> dict[str, Criterion]:
    """Return how each declared criterion is measured."""
    gate, value = product.gate, product.value
    found: dict[str, Criterion] = {ONLINE: features_are_equal}
    if (most := gate.calibration) is not None:
        found["calibration"] = lambda subject: calibration(subject, most)
    if (soon := gate.latency) is not None:
        found["latency"] = lambda subject: latency(subject, soon)
    if value is not None:
        found["value"] = lambda subject: worth(subject, value, gate.value)
    if (each := gate.slices) is not None:
        found["slices"] = lambda subject: slices(subject, each)
    if (damages := gate.robustness) is not None:
        found["robustness"] = lambda subject: robustness(subject, damages)
    if (rates := gate.fairness) is not None:
        found["fairness"] = lambda subject: fairness(subject, rates, product.groups)
    return found


def _claim(name: str, measure: Criterion, subject: Subject, record: str, at: datetime) -> Claim:
    try:
        found = measure(subject)
    except (*BROKEN_CODE, pl.exceptions.PolarsError) as error:  # any other ends the step, and nothing is decided
        said = str(error).partition("\n")[0]
        found = Finding(passed=False, words=f"cannot tell: {type(error).__name__}: {said}")
    return Claim(name=name, record=record, passed=bool(found.passed), at=at, facts=found.facts, words=found.words)
