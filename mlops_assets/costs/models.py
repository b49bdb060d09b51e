"""Spendings and registered versions -> what each model cost, and what one point of the metric did.

A spending belongs to one model at most, so models may be added up. To a version belong: each training of its record;
its *gate*, the decisions on it and the deployments of its run; its *data*, the rows of the source, annotations,
datasets and features below it that no earlier version has learned from. What an earlier version has paid for is
*reused*, and free. Data that no model has learned from, and watching traffic, belong to none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlops_assets.costs.spent import Decided, Spent
from mlops_assets.costs.sums import Sum, total
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Struct
from mlops_assets.product import RETRAIN, SEAL, Stage
from mlops_assets.training.metrics import HIGHER_IS_BETTER

POINT = 0.01  # of the metric
_NO_DATA = (*RETRAIN, *SEAL)  # all else is, also what was read of the source


class ModelCost(Struct, frozen=True, kw_only=True):
    """What one version cost. `gained` is how much better than its predecessor it was when promoted, as the gate saw it.

    It is None for a version that was not promoted, and for the first of a segment. `reused` is the data that an
    earlier version paid for; it is not part of `cost`.
    """

    version: int
    segment: str
    window: str
    record: str
    at: str
    reason: str
    decision: str | None
    answer: str | None
    gained: float | None
    training: Sum
    gate: Sum
    data: Sum
    reused: Sum

    @property
    def cost(self) -> Sum:
        """All that was made for this version."""
        return self.training + self.gate + self.data


@dataclass(frozen=True, kw_only=True)
class Attributed:
    """Every model's costs, oldest first, and the spendings that belong to none."""

    models: tuple[ModelCost, ...]
    rest: tuple[Spent, ...]


def attributed(spendings: Sequence[Spent], registered: Sequence[Act], metric: str) -> Attributed:
    """Return what each of the `registered` versions cost, in their order, and what is left."""
    books = _Books(spendings)
    models = [_model(books, act, metric) for act in registered if act.version is not None and act.record is not None]
    rest = tuple(each for place, each in enumerate(spendings) if place not in books.taken)
    return Attributed(models=tuple(models), rest=rest)


class _Books:
    """Spendings by record and by run, and which of them belong to a model already."""

    def __init__(self, spendings: Sequence[Spent]) -> None:
        self.spendings = spendings
        self.taken: set[int] = set()
        self.of_record: dict[str, list[int]] = {}
        self.of_run: dict[str, list[int]] = {}
        self.of_candidate: dict[str, list[int]] = {}
        for place, each in enumerate(spendings):
            self.of_record.setdefault(each.record, []).append(place)
            if each.run is not None:
                self.of_run.setdefault(each.run, []).append(place)
            if each.stage == Stage.CHAMPION and each.inputs:
                self.of_candidate.setdefault(each.inputs[0], []).append(place)

    def take(self, places: Iterable[int]) -> Sum:
        """Return what some spendings come to that belonged to nobody; now they belong to somebody."""
        free = sorted(set(places) - self.taken)
        self.taken.update(free)
        return total(self.spendings[place] for place in free)

    def below(self, record: str) -> set[int]:
        """Return the spendings on the data that a record was made of; what traffic it was served by is not among it."""
        found: set[int] = set()
        waiting = self.inputs(self.of_record.get(record, []))
        seen = set(waiting)
        while waiting:
            made = [p for p in self.of_record.get(waiting.pop(), []) if self.spendings[p].stage not in _NO_DATA]
            found.update(made)
            new = [parent for parent in self.inputs(made) if parent not in seen]
            seen.update(new)
            waiting += new
        return found

    def inputs(self, places: Iterable[int]) -> list[str]:
        """Return the records that some spendings read."""
        return [parent for place in places for parent in self.spendings[place].inputs]


def _model(books: _Books, act: Act, metric: str) -> ModelCost:
    record = act.record or ""
    trainings = books.of_record.get(record, [])
    runs = {run for place in trainings if (run := books.spendings[place].run) is not None}
    in_run = [place for run in runs for place in books.of_run[run] if books.spendings[place].stage in _GATE]
    decisions = books.of_candidate.get(record, [])
    decided = _decided([books.spendings[place].decided for place in decisions])
    data = books.below(record)
    reused = total(books.spendings[place] for place in sorted(data & books.taken))
    decision = act.facts.get("decision")
    return ModelCost(
        version=act.version or 0,
        segment=act.segment or "",
        window=str(act.facts.get("window") or ""),
        record=record,
        at=act.at,
        reason=act.reason,
        decision=decision if isinstance(decision, str) else None,
        answer=decided.answer if decided else None,
        gained=_gained(decided, metric),
        training=books.take(trainings),
        gate=books.take([*decisions, *in_run]),
        data=books.take(data),
        reused=reused,
    )


_GATE = (Stage.CHAMPION, Stage.ENDPOINT)
PASSED = ("promote", "ramp")  # answers of the gate


def _decided(decisions: Sequence[Decided | None]) -> Decided | None:
    """Return the decision that promoted, or else the newest."""
    found = [each for each in decisions if each is not None]
    return next((each for each in found if each.answer in PASSED), found[-1] if found else None)


def _gained(decided: Decided | None, metric: str) -> float | None:
    if decided is None or decided.answer not in PASSED or decided.candidate is None or decided.champion is None:
        return None
    gained = decided.candidate - decided.champion
    return round(gained if metric in HIGHER_IS_BETTER else -gained, 6)


def per_point(cost: Sum, gained: float | None) -> float | None:
    """Return the CPU and GPU time that a point of the metric (0.01) took, in s; None if nothing was gained."""
    return round((cost.cpu_s + cost.gpu_s) * POINT / gained, 3) if gained is not None and gained > 0 else None


def by_decision(models: Sequence[ModelCost]) -> Mapping[str, list[ModelCost]]:
    """Return the models that each retraining decision led to, oldest first."""
    found: dict[str, list[ModelCost]] = {}
    for model in models:
        if model.decision is not None:
            found.setdefault(model.decision, []).append(model)
    return found
