"""Which promotions are right, worked out without any of the product's code: a few facts by name, and simple rules.

Nothing is imported from mlops_assets. What the gate estimates with a thousand resamples is computed here exactly. Who
signed what is known because the test knows whose hand it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import permutations

import numpy as np

ROWS = 40
FLOOR_ROWS = 24  # right answers at the declared floor of 0.6
NOMINAL, DOUBT = 0.025, 0.02  # of a thousand resamples; four standard errors of a count of 25 among them
HOUR = 3600.0
EXPIRES_S = 14 * 24 * HOUR


@dataclass(kw_only=True)
class Model:
    """What is true of one candidate: which held-out rows it gets wrong, and what is wrong with its evidence.

    `flaws` were put into its evidence later, by the claim that they are in.
    """

    record: str
    version: int | None
    segment: str
    window: str
    wrong: frozenset[int]
    made_s: float
    asked_by: str = ""
    unsound: bool = False
    flaws: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class Signed:
    """An act on a candidate, as whoever holds the pen knows it. `genuine` says that `by` signed it just as it is.

    `role` is the criterion of a waiver.
    """

    kind: str
    record: str
    by: str
    genuine: bool
    role: str
    at_s: float
    until_s: float


@dataclass(kw_only=True)
class Truth:
    """All that a decision may rest on; `roles` are those that people have, `needed` those that have to agree."""

    margin_rows: float
    needed: tuple[str, ...]
    roles: dict[str, set[str]]
    now_s: float = 0.0
    models: dict[str, Model] = field(default_factory=dict[str, Model])
    champions: dict[str, str] = field(default_factory=dict[str, str])
    acts: list[Signed] = field(default_factory=list[Signed])
    withdrawn: set[str] = field(default_factory=set[str])
    paused: bool = False

    def objection(self, record: str, segment: str) -> str:
        """Return why `record` may not become champion of `segment` now, or nothing if it may."""
        model, champion = self.models[record], self.models.get(self.champions.get(segment, ""))
        if model.segment != segment or model.version is None:
            return "it is no registered model of this segment"
        if self.paused:
            return "the product is paused"
        if record in self.withdrawn:
            return "a person rolled it back"
        if champion is model:
            return "it is the champion already"
        if champion is not None and model.window < champion.window:
            return "it is older than the champion"
        return next(iter([*self._unproven(model), *self._weaker(model, champion), *self._not_agreed(model)]), "")

    def certain(self, record: str, segment: str) -> bool:
        """Return whether `record` has to be promoted: nothing against it, and no doubt about margin and approvals."""
        if self.objection(record, segment):
            return False
        model, champion = self.models[record], self.models.get(self.champions.get(segment, ""))
        agreed = [act for act in self.acts if act.kind == "approve" and self._counts(act, model)]
        plain = len({act.by for act in agreed}) == len({(act.by, act.role) for act in agreed})
        return plain and (champion is None or self._chance(model, champion) < NOMINAL - DOUBT)

    def _unproven(self, model: Model) -> Iterator[str]:
        if model.unsound:
            yield "its record does not prove it"
        if self.now_s < model.made_s:
            yield "what is measured now is older than its record"
        for claim, flaw in model.flaws.items():
            if claim != "rows" and not (claim == "calibration" and flaw == "failed" and self._waived(model)):
                yield f"its {claim} is {flaw}"

    def _weaker(self, model: Model, champion: Model | None) -> Iterator[str]:
        if ROWS - len(model.wrong) < FLOOR_ROWS:
            yield "it does not reach the floor"
        if champion is None:
            return
        if "rows" in (*model.flaws, *champion.flaws) or champion.unsound or "scores" in champion.flaws:
            yield "the champion was not measured on the same rows"
        if self._chance(model, champion) > NOMINAL + DOUBT:
            yield "it is not better by the margin"

    def _not_agreed(self, model: Model) -> Iterator[str]:
        if any(act.kind == "reject" and act.record == model.record for act in self.acts):
            yield "somebody rejected it"
        agreed = [act for act in self.acts if act.kind == "approve" and self._counts(act, model)]
        by = {role: {act.by for act in agreed if act.role == role} for role in self.needed}
        people = sorted({act.by for act in agreed})
        filled = (
            all(who in by[role] for who, role in zip(some, self.needed, strict=True))
            for some in permutations(people, len(self.needed))
        )
        if self.needed and not any(filled):
            yield f"of {', '.join(self.needed)} only {by} agreed"

    def _waived(self, model: Model) -> bool:
        waivers = [act for act in self.acts if act.kind == "waive" and act.role == "calibration"]
        return any(self._counts(act, model) for act in waivers)

    def _counts(self, act: Signed, model: Model) -> bool:
        """Return whether an approval or a waiver is genuine, about this record, by one who may, and in force now."""
        role = "waiver" if act.kind == "waive" else act.role
        genuine = act.genuine and act.record == model.record and role in self.roles.get(act.by, set())
        in_force = model.made_s <= act.at_s <= self.now_s < act.until_s
        if act.kind == "waive":
            return genuine and in_force
        waived = any(each.kind == "waive" and each.by == act.by and self._counts(each, model) for each in self.acts)
        return genuine and in_force and self.now_s < act.at_s + EXPIRES_S and act.by != model.asked_by and not waived

    def _chance(self, model: Model, champion: Model) -> float:
        """Return the chance that a resample of the rows has the candidate better by no more than the margin."""
        return _tail(len(champion.wrong - model.wrong), len(model.wrong - champion.wrong), self.margin_rows)


@cache
def _tail(won: int, lost: int, margin_rows: float) -> float:
    once = np.array([lost, ROWS - won - lost, won]) / ROWS  # a drawn row counts -1, 0 or 1
    sums = np.array([1.0])
    for _ in range(ROWS):
        sums = np.convolve(sums, once)
    return float(sums[np.arange(-ROWS, ROWS + 1) <= margin_rows].sum())
