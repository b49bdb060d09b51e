"""A model and the candidate's held-out rows -> what the gate may know of it, and what it says of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec
import numpy as np
import polars as pl

from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.records import Check
from mlops_assets.evidence.step import Step, parse
from mlops_assets.features.transform import Transform
from mlops_assets.product import ModelProduct
from mlops_assets.registry.criteria.declared import declared, measured, unmeasured
from mlops_assets.registry.criteria.subject import Subject
from mlops_assets.registry.criteria.worth import acts_from
from mlops_assets.registry.gate import NONE_WAIVED, Claim, Evidence, Verdict, Waiver, judge, unscored
from mlops_assets.registry.pictured import PICTURED, pictured
from mlops_assets.training.metrics import Floats
from mlops_assets.training.model import ModelSpec, decode_spec, label_codes, to_matrix
from mlops_assets.training.trainers import load_predictor

REQUIRED = ("trained_on_named_rows",)
KEEP = "keep the function and columns that a champion learned from, and give new ones other names"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The gate's verdict; what was measured for it, as checks of the decision; and what its pictures are drawn from."""

    verdict: Verdict
    checks: tuple[Check, ...] = ()
    outputs: Mapping[str, tuple[bytes, str]] = field(default_factory=dict[str, tuple[bytes, str]])


def judged(step: Step, candidate: Held, champion: Held | None, *, waived: Mapping[str, Waiver] = NONE_WAIVED) -> Judged:
    """Return the gate's verdict on a candidate; `waived` names criteria that need not hold, and who says so."""
    product, holdout = step.product, step.archive.table(candidate, "holdout")
    evidence = evidence_of(step, candidate, candidate, holdout)
    against = evidence_of(step, champion, candidate, holdout) if champion else None
    claims = claims_of(step, candidate, holdout, evidence, champion, against)
    evidence = replace(evidence, claims=(*evidence.claims, *claims))
    required = (*REQUIRED, *declared(product))
    verdict = judge(
        evidence, against, product.gate, product.seed, task=product.label.kind, required=required, waived=waived
    )
    drawn = msgspec.json.encode(pictured(verdict, product.gate.margin, product.label.kind, evidence, against))
    return Judged(verdict=verdict, checks=_checks(product, claims), outputs={PICTURED: (drawn, "json")})


def evidence_of(step: Step, model: Held, candidate: Held, holdout: pl.DataFrame) -> Evidence:
    """Return what is known of `model`, scored on the candidate's held-out rows.

    Classes are in the candidate's order; to one that the model never saw it gives no chance.
    """
    spec, counted = _spec(step, model), _spec(step, candidate)
    several = spec.task == counted.task == "multiclass"
    scores, problem = None, ""
    try:
        matrix = to_matrix(seen_by(step, model, candidate, holdout), spec)
        scores = load_predictor(spec, step.archive.data(model, "model"))(matrix)
        scores = in_classes(scores, spec.classes, counted.classes) if several else scores
    except (LookupError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        problem = f"{str(error).partition(chr(10))[0]}; {KEEP}"
    made = datetime.fromisoformat(model.envelope.at)
    return Evidence(
        record=model.id,
        window=parse(model.record.place.partition)[1],
        made=made,
        rows=candidate.record.output("holdout").root,
        labels=label_codes(holdout["_label"], counted if several else spec),
        scores=scores,
        problem=problem,
        claims=tuple(
            Claim(name=check.name, record=model.id, passed=check.passed, at=made)
            for check in model.record.checks
            if check.severity == "error"
        ),
    )


def in_classes(scores: Floats, mine: Sequence[str], wanted: Sequence[str]) -> Floats:
    """Return scores of the classes `mine`, shape (rows, mine), as those of `wanted`, then of all others in `mine`."""
    every = [*wanted, *(name for name in mine if name not in wanted)]
    moved = np.zeros((len(scores), len(every)))
    moved[:, [every.index(name) for name in mine]] = scores
    return moved


def claims_of(
    step: Step,
    candidate: Held,
    holdout: pl.DataFrame,
    evidence: Evidence,
    champion: Held | None,
    against: Evidence | None,
) -> tuple[Claim, ...]:
    """Return a claim for each criterion of the product; none where the candidate's own scores are missing."""
    if evidence.labels is None or evidence.scores is None or unscored("candidate", evidence):
        return ()
    product, spec = step.product, _spec(step, candidate)
    model = step.archive.data(candidate, "model")
    try:
        known = known_rows(step, candidate, holdout)
    except ValueError as problem:
        return unmeasured(product, candidate.id, datetime.now(UTC), str(problem))
    subject = Subject(
        spec=spec,
        model=model,
        predict=load_predictor(spec, model),
        features=holdout,
        known=known,
        labels=evidence.labels,
        scores=evidence.scores,
        metric=product.gate.metric,
        seed=product.seed,
        threshold=acts_from(spec.threshold, product.value),
        champion=against.scores if against else None,
        champion_threshold=acts_from(_spec(step, champion).threshold if champion else None, product.value),
    )
    return measured(subject, product, candidate.id, datetime.now(UTC))


def seen_by(step: Step, model: Held, candidate: Held, holdout: pl.DataFrame) -> pl.DataFrame:
    """Return the held-out rows as `model` sees them: its own features, made anew where the candidate has others."""
    mine, new = _spec(step, model), _spec(step, candidate)
    if (mine.transform, mine.features) == (new.transform, new.features):
        return holdout
    return Transform(mine.transform or mine.features).computed(known_rows(step, candidate, holdout))


def known_rows(step: Step, candidate: Held, holdout: pl.DataFrame) -> pl.DataFrame:
    """Return the dataset's columns of the held-out rows, in their order; they are in the newest of its windows.

    Raises:
        ValueError: If the datasets that the candidate names do not have each of them once.
    """
    keys = holdout.select("_key", "_time")
    found: list[pl.DataFrame] = []
    for features in reversed(candidate.record.inputs):
        for dataset in step.archive.held(features.record).record.inputs:
            rows = step.archive.table(step.archive.held(dataset.record), "dataset")
            found.append(rows.join(keys, on=["_key", "_time"], how="semi", nulls_equal=True))
        if sum(rows.height for rows in found) >= keys.height:
            break
    count = sum(rows.height for rows in found)
    if count != keys.height:
        raise ValueError(f"{candidate.record.place}: {count} of its {keys.height} held-out rows are in its datasets")
    rows = pl.concat(found, how="diagonal_relaxed")
    return keys.join(rows, on=["_key", "_time"], how="left", nulls_equal=True, maintain_order="left")


def _spec(step: Step, model: Held) -> ModelSpec:
    return decode_spec(step.archive.data(model, "spec"))


def _checks(product: ModelProduct, claims: tuple[Claim, ...]) -> tuple[Check, ...]:
    """Return the criteria as checks of the decision, which refuses and does not fail; also those not measured."""
    known = {claim.name: claim for claim in claims}
    return tuple(
        Check(
            name=name,
            passed=name in known and known[name].passed,
            severity="warn",
            blocking=False,
            facts={"words": known[name].words, **known[name].facts} if name in known else {"words": "not measured"},
        )
        for name in declared(product)
    )
