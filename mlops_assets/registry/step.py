"""A candidate -> the decision on it, and the promotion in the ledger. An act: never skipped, it reconciles."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from mlops_assets.evidence.archive import Built, Held
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.ledger import Act, Conflict, stamp
from mlops_assets.evidence.records import Check, Json, Recipe
from mlops_assets.evidence.step import NotReady, Prepared, Step, parse
from mlops_assets.features.transform import Transform
from mlops_assets.product import Stage
from mlops_assets.registry.gate import Claim, Evidence, Verdict, judge
from mlops_assets.training.model import decode_spec, label_codes, to_matrix
from mlops_assets.training.trainers import load_predictor

REQUIRED = ("trained_on_named_rows",)
KEEP = "keep the function and columns that a champion learned from, and give new ones other names"


@dataclass(frozen=True, kw_only=True)
class ChampionStep(Step):
    """The decision on the candidate of a segment and window."""

    @property
    def stage(self) -> Stage:
        """`champion`."""
        return Stage.CHAMPION

    def prepare(self, partition: str) -> Prepared:
        """Return the decision's recipe: the candidate, the champion as it is, and the decision before this one."""
        candidate = self.input(Stage.MODEL, partition)
        current = self.archive.ledger.champion(self.product.name, parse(partition)[0])
        before = self.archive.head(self.place(partition))
        champion = self.archive.held(current.record) if current and current.record else None
        state = {"champion": current.record or "" if current else "", "predecessor": before.id if before else ""}
        recipe = Recipe(
            place=self.place(partition),
            inputs=[(str(candidate.record.place), candidate.record.root)],
            params={"gate": self.product.gate.model_dump(mode="json")},
            seed=self.product.seed,
            state=state,
            code=code_id("mlops_assets.registry.gate"),
        )
        inputs = [candidate.as_input()] + ([champion.as_input()] if champion else [])
        return Prepared(recipe=recipe, inputs=inputs, build=lambda: self._decide(partition, candidate, champion))

    def _decide(self, partition: str, candidate: Held, champion: Held | None) -> Built:
        """Judge the candidate; if it wins, move the champion. The ledger refuses if somebody moved it meanwhile."""
        registered = next(
            (act for act in self.archive.ledger.acts(self.product.name, "register") if act.record == candidate.id), None
        )
        if registered is None:
            raise NotReady(f"{candidate.record.place} is not registered; materialize it again")
        if self.archive.ledger.paused(self.product.name):
            raise NotReady(f"{self.product.name} is paused; mlops-assets resume {self.product.name}")
        verdict = self._judged(candidate, champion)
        if verdict.promote:
            self._promote(self._act("promote", partition, registered, verdict), champion)
        elif verdict.answer == "refuse" and not self._refused(candidate):
            self.archive.ledger.add(self._act("refuse", partition, registered, verdict))
        facts: dict[str, Json] = {
            "answer": verdict.answer,
            "version": registered.version,
            "reasons": list(verdict.reasons),
            "metric": verdict.metric,
            "candidate": verdict.candidate_value,
            "champion": verdict.champion_value,
            "lower": verdict.lower,
            "upper": verdict.upper,
            "window": parse(partition)[1],
        }
        decision = pl.DataFrame(
            {"answer": [verdict.answer], "reason": ["; ".join(verdict.reasons)], "version": [registered.version]}
        )
        passed = verdict.answer in ("promote", "keep")
        return Built(
            outputs={"decision": decision},
            checks=(
                Check(
                    name="gate",
                    passed=passed,
                    severity="warn",
                    blocking=False,
                    facts={"reasons": list(verdict.reasons)},
                ),
            ),
            facts=facts,
        )

    def _judged(self, candidate: Held, champion: Held | None) -> Verdict:
        holdout = self.archive.table(candidate, "holdout")
        task = self.product.label.kind
        evidence = self._evidence(candidate, candidate, holdout)
        against = self._evidence(champion, candidate, holdout) if champion else None
        return judge(evidence, against, self.product.gate, self.product.seed, task=task, required=REQUIRED)

    def _evidence(self, model: Held, candidate: Held, holdout: pl.DataFrame) -> Evidence:
        """Return what is known of `model`, scored on the candidate's held-out rows."""
        spec = decode_spec(self.archive.data(model, "spec"))
        scores, problem = None, ""
        try:
            matrix = to_matrix(self._seen_by(model, candidate, holdout), spec)
            scores = load_predictor(spec, self.archive.data(model, "model"))(matrix)
        except (LookupError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
            problem = f"{str(error).partition(chr(10))[0]}; {KEEP}"
        made = datetime.fromisoformat(model.envelope.at)
        return Evidence(
            record=model.id,
            window=parse(model.record.place.partition)[1],
            made=made,
            rows=candidate.record.output("holdout").root,
            labels=label_codes(holdout["_label"], spec),
            scores=scores,
            problem=problem,
            claims=tuple(
                Claim(name=check.name, record=model.id, passed=check.passed, at=made)
                for check in model.record.checks
                if check.severity == "error"
            ),
        )

    def _seen_by(self, model: Held, candidate: Held, holdout: pl.DataFrame) -> pl.DataFrame:
        """Return the held-out rows as `model` sees them: its own features, made anew where the candidate has others."""
        mine, new = (decode_spec(self.archive.data(each, "spec")) for each in (model, candidate))
        if (mine.transform, mine.features) == (new.transform, new.features):
            return holdout
        features = [self.archive.held(each.record) for each in candidate.record.inputs]
        datasets = [self.archive.held(each.record) for held in features for each in held.record.inputs]
        rows = pl.concat([self.archive.table(held, "dataset") for held in datasets], how="diagonal_relaxed")
        keys = holdout.select("_key", "_time")
        known = keys.join(rows, on=["_key", "_time"], how="left", nulls_equal=True, maintain_order="left")
        return Transform(mine.transform or mine.features).apply(known.lazy()).collect()

    def _refused(self, candidate: Held) -> bool:
        return any(act.record == candidate.id for act in self.archive.ledger.acts(self.product.name, "refuse"))

    def _act(self, kind: Literal["promote", "refuse"], partition: str, registered: Act, verdict: Verdict) -> Act:
        segment, window = parse(partition)
        return Act(
            kind=kind,
            product=self.product.name,
            segment=segment,
            version=registered.version,
            record=registered.record,
            by="gate",
            reason="; ".join(verdict.reasons),
            at=stamp(datetime.now(UTC)),
            facts={"window": window},
        )

    def _promote(self, act: Act, champion: Held | None) -> None:
        current = self.archive.ledger.champion(self.product.name, act.segment or "")
        raced = f"{self.product.name}[{act.segment}]: the champion changed while its candidate was judged; run it again"
        if (current.record if current else None) != (champion.id if champion else None):
            raise NotReady(raced)
        try:
            self.archive.ledger.move_champion(act, expected=current.version if current else None)
        except Conflict as problem:
            raise NotReady(raced) from problem
