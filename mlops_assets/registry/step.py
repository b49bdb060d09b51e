"""A candidate -> the decision on it, and the promotion in the ledger. An act: never skipped, it reconciles."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from mlops_assets.evidence.archive import Built, Held
from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.ledger import Act, Conflict, Stopped, stamp
from mlops_assets.evidence.records import Check, Json, Recipe
from mlops_assets.evidence.step import NotReady, Prepared, Step, parse
from mlops_assets.product import Stage
from mlops_assets.registry.adoption.adopted import is_adopted, judged_adopted
from mlops_assets.registry.criteria.declared import WAIVABLE
from mlops_assets.registry.gate import Verdict, Waiver
from mlops_assets.registry.people.approvals import Case, Standing, agreed, considered, standing, waivers
from mlops_assets.registry.people.pending import case_of, latest
from mlops_assets.registry.people.people import People, read_people
from mlops_assets.registry.ramping import begin, put_aside, ramped
from mlops_assets.registry.scored import Judged, judged

MAY_HAVE_SEEN = "the champion's origin is unknown, so it may have learned from these very rows"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a decision rests on beside the models: the registration, what people did, and who they are."""

    registered: Act | None
    acts: Sequence[Act]
    people: People
    case: Case


@dataclass(frozen=True, kw_only=True)
class ChampionStep(Step):
    """The decision on the candidate of a segment and window."""

    @property
    def stage(self) -> Stage:
        """`champion`."""
        return Stage.CHAMPION

    def prepare(self, partition: str) -> Prepared:
        """Return the decision's recipe: the candidate, the champion as it is, what people did, the decision before."""
        candidate = self.input(Stage.MODEL, partition)
        current = self.archive.ledger.champion(self.product.name, parse(partition)[0])
        before = self.archive.head(self.place(partition))
        champion = self.archive.held(current.record) if current and current.record else None
        seen = self._seen(candidate)
        state = {
            "champion": current.record or "" if current else "",
            "predecessor": before.id if before else "",
            "acts": considered(seen.acts, seen.case),
            "people": seen.people.sha256,
        }
        recipe = Recipe(
            place=self.place(partition),
            inputs=[(str(candidate.record.place), candidate.record.root)],
            params=self.product.model_dump(mode="json", include={"gate", "decide", "value", "groups", "approval"}),
            seed=self.product.seed,
            state=state,
            code=code_id("mlops_assets.registry.scored"),
        )
        inputs = [candidate.as_input()] + ([champion.as_input()] if champion else [])
        return Prepared(recipe=recipe, inputs=inputs, build=lambda: self._decide(partition, candidate, champion, seen))

    def _seen(self, candidate: Held) -> Seen:
        acts = self.archive.ledger.acts(self.product.name)
        registered = next((act for act in acts if act.kind == "register" and act.record == candidate.id), None)
        people = read_people(self.settings.defs)
        return Seen(registered=registered, acts=acts, people=people, case=case_of(candidate, registered))

    def _decide(self, partition: str, candidate: Held, champion: Held | None, seen: Seen) -> Built:
        """Judge the candidate; if it wins, promote or ramp it. The ledger refuses if somebody was faster."""
        registered, now = seen.registered, datetime.now(UTC)
        if registered is None:
            raise NotReady(f"{candidate.record.place} is not registered; materialize it again")
        if self.archive.ledger.paused(self.product.name):
            raise NotReady(f"{self.product.name} is paused; mlops-assets resume {self.product.name}")
        if is_adopted(candidate.record):
            found = judged_adopted(candidate, champion, seen.acts, self.product.gate.metric)
        else:
            found = judged(self, candidate, champion, waived=_waivable(seen, now))
        at_last = datetime.now(UTC)  # judging takes its time, and an approval may end meanwhile
        if champion is not None and is_adopted(champion.record) and found.verdict.champion_value is not None:
            found = replace(found, verdict=replace(found.verdict, reasons=(*found.verdict.reasons, MAY_HAVE_SEEN)))
        where = standing(seen.acts, seen.people, self.product.approval, seen.case, at_last)
        verdict = put_aside(agreed(found.verdict, where), seen.acts, registered)
        verdict = ramped(verdict, self.product) if champion is not None else verdict
        if verdict.answer in ("promote", "ramp"):
            act = self._act("promote", partition, registered, verdict, where)
            self._promote(act, champion, ramps=verdict.answer == "ramp")
        elif verdict.answer in ("refuse", "wait") and _word(seen.acts, candidate) != verdict.answer:
            kind = "wait" if verdict.answer == "wait" else "refuse"
            self.archive.ledger.add(self._act(kind, partition, registered, verdict, where))
        return self._told(partition, registered, found, verdict, where)

    def _told(self, partition: str, registered: Act, found: Judged, verdict: Verdict, where: Standing) -> Built:
        reasons: list[Json] = list(verdict.reasons)
        facts: dict[str, Json] = {
            "answer": verdict.answer,
            "version": registered.version,
            "reasons": reasons,
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
        passed = verdict.answer in ("promote", "keep", "wait", "ramp")
        gate = Check(name="gate", passed=passed, severity="warn", blocking=False, facts={"reasons": reasons})
        asked = (_approved(verdict, where),) if self.product.approval else ()
        facts |= asked[0].facts if asked else {}
        outputs = {"decision": decision, **found.outputs}
        return Built(outputs=outputs, checks=(*found.checks, gate, *asked), facts=facts)

    def _act(
        self,
        kind: Literal["promote", "refuse", "wait"],
        partition: str,
        registered: Act,
        verdict: Verdict,
        where: Standing,
    ) -> Act:
        segment, window = parse(partition)
        approvals: dict[str, Json] = {"approvals": [each.act for each in where.agreed]} if where.agreed else {}
        return Act(
            kind=kind,
            product=self.product.name,
            segment=segment,
            version=registered.version,
            record=registered.record,
            by="gate",
            reason="; ".join(verdict.reasons),
            at=stamp(datetime.now(UTC)),
            facts={"window": window, **approvals},
        )

    def _promote(self, act: Act, champion: Held | None, *, ramps: bool) -> None:
        current = self.archive.ledger.champion(self.product.name, act.segment or "")
        raced = f"{self.product.name}[{act.segment}]: the champion changed while its candidate was judged; run it again"
        if (current.record if current else None) != (champion.id if champion else None):
            raise NotReady(raced)
        try:
            if ramps and current is not None:
                now = product_now(self.settings.serving(self.product.name), datetime.now(UTC))
                begin(self.archive.ledger, self.product, act, current, now)
            else:
                self.archive.ledger.move_champion(act, expected=current.version if current else None)
        except Stopped as problem:
            raise NotReady(f"{problem}; nothing was promoted") from problem
        except Conflict as problem:
            raise NotReady(raced) from problem


def _waivable(seen: Seen, now: datetime) -> dict[str, Waiver]:
    """Return the waivers in force, less those of what cannot be waived."""
    found = waivers(seen.acts, seen.people, seen.case, now)
    return {name: waiver for name, waiver in found.items() if name in WAIVABLE}


def _word(acts: Sequence[Act], candidate: Held) -> str | None:
    """Return the gate's latest word on a candidate."""
    found = latest(acts).get(candidate.id)
    return found.kind if found else None


def _approved(verdict: Verdict, where: Standing) -> Check:
    """Return the check that says who has agreed, and who still has to."""
    by: list[Json] = [f"{each.role}: {each.by}, until {each.until:%Y-%m-%d %H:%M} UTC" for each in where.agreed]
    facts: dict[str, Json] = {"agreed": by, "missing": list(where.missing), "not_counted": list(where.ignored)}
    return Check(name="approved", passed=verdict.answer != "wait", severity="warn", blocking=False, facts=facts)
