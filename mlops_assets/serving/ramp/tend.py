"""Ledger, counts and outcomes -> what becomes of those who are tried, done at once: held, stepped up, taken back.

Every worker looks too, but only takes back. Whoever looks, the ledger lets one of them act.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import msgspec

from mlops_assets.endpoint import Canary
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act, Conflict, moves_of, stamp
from mlops_assets.evidence.records import Json
from mlops_assets.evidence.traffic import Cause, Variant, move_traffic, traffic_of
from mlops_assets.product import ModelProduct
from mlops_assets.serving.ramp.acts import deploy, end_variant
from mlops_assets.serving.ramp.judge import Judgement, Step, judge
from mlops_assets.serving.ramp.matured import Labelled, Losses, Tried, labelled_by_id
from mlops_assets.serving.ramp.seen import Seen, left_behind, seen, undeployed
from mlops_assets.serving.ramp.verdict import Verdict, verdict, verdict_act
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.serving.routing.routed import routed
from mlops_assets.serving.workers import Worker, WorkerFiles
from mlops_assets.settings import Settings

BY = "ramp"


@dataclass(frozen=True, kw_only=True)
class Look:
    """Who is tried beside whom, what was seen of both, and what is to be done."""

    tried: Tried
    seen: Seen
    judgement: Judgement
    verdict: Verdict | None


class Tending:
    """Looks after what a product tries beside its champions; what it has read of outcomes is kept between looks."""

    def __init__(self, product: ModelProduct, settings: Settings, labelled: Labelled = labelled_by_id) -> None:
        """Follow the ledger of `settings`; `labelled` says what labels logged rows have."""
        self._product = product
        self._settings = settings
        self._archive = Archive(settings.home)
        self._folder = settings.serving(product.name)
        self._workers = WorkerFiles(self._folder)
        self._losses = Losses(self._archive, product, self._folder, labelled)
        self._deployed = ""  # what was said of it last

    def tend(self, now: datetime, *, whole: bool) -> list[str]:
        """Judge everyone who is tried, act on it, and say what was done; without `whole` only take back."""
        said: list[str] = []
        for segment in self._product.segments:
            try:
                said += self._segment(segment, now, whole)
            except Conflict as problem:  # somebody else was faster; the next look sees what is left to do
                said.append(str(problem))
            finally:  # what an earlier look, or a person's command, wrote down and could not deploy is deployed too
                said += self._deploy()
        return said

    def looks(self, segment: str, now: datetime, *, whole: bool = True) -> list[Look]:
        """Return what is seen of everyone who is tried in a segment; it changes nothing."""
        acts = self._archive.ledger.acts(self._product.name)
        moves = moves_of(acts, segment)
        variants = traffic_of(acts, segment).values() if moves else ()
        tried = [Tried(segment=segment, variant=each, champion=moves[-1]) for each in variants]
        workers = [worker for worker, _ in self._workers.read()] if tried else []
        return [self._look(acts, workers, each, now, whole) for each in tried]

    def _look(self, acts: Sequence[Act], workers: Sequence[Worker], tried: Tried, now: datetime, whole: bool) -> Look:
        found = seen(workers, acts, tried)
        variant = tried.variant
        matured = self._losses.of(tried) if whole and variant.name != "shadow" else None
        judgement = judge(self._plan, self._step(variant, found), found.champion, found.variant, matured, now)
        return Look(
            tried=tried, seen=found, judgement=judgement, verdict=verdict(matured) if matured is not None else None
        )

    def _segment(self, segment: str, now: datetime, whole: bool) -> Iterator[str]:
        acts = self._archive.ledger.acts(self._product.name)
        if not any(act.kind == "traffic" and act.segment == segment for act in acts):
            return
        if (gone := left_behind(acts, segment)) is not None:
            yield from self._left(gone, acts)
        for look in self.looks(segment, now, whole=whole):
            if look.verdict and (act := verdict_act(look.verdict, look.tried.variant, look.tried.champion, acts, now)):
                self._archive.ledger.add(act)
                yield f"{self._ref(look.tried)} is {look.verdict.words}"
            if (cause := self._cause(look)) is not None:
                yield from self._taken_back(look, *cause)
                return
            if whole and look.tried.variant.ramped and not self._archive.ledger.paused(self._product.name):
                yield from self._stepped(look, now)
                return

    def _cause(self, look: Look) -> tuple[Cause, str] | None:
        """Return why somebody is to be taken back. A split is compared, and never ended; nor is a person's shadow."""
        variant = look.tried.variant
        if variant.name != "canary" and not variant.ramped:
            return None
        if rejected := self._archive.ledger.rejected(self._product.name, variant.record):
            return "rejected", f"rejected by {rejected.by}: {rejected.reason}"
        if look.seen.failed:
            return "failed", f"it could not be deployed: {look.seen.failed}"
        return ("worse", look.judgement.reason) if look.judgement.answer == "withdraw" else None

    def _taken_back(self, look: Look, cause: Cause, reason: str) -> Iterator[str]:
        tried = look.tried
        end_variant(self._archive.ledger, tried.variant.act, cause, by=BY, reason=reason, champion=tried.champion)
        yield f"{self._ref(tried)} is taken back: {reason}"

    def _left(self, gone: Act, acts: Sequence[Act]) -> Iterator[str]:
        """Write down that a ramp ended because the champion that it was to follow is another one by now."""
        champion = moves_of(acts, gone.segment)[-1]
        standing = any(each.act == gone for each in traffic_of(acts, gone.segment or "").values())
        reason = f"the champion is {champion.product}@{champion.version} by now, and it was judged against another"
        end_variant(self._archive.ledger, gone, "moved", by=BY, reason=reason, champion=champion, stands=standing)
        yield f"{gone.product}[{gone.segment}]: version {gone.version} is taken back: {reason}"

    def _stepped(self, look: Look, now: datetime) -> Iterator[str]:
        """Let a candidate go on to the next step, or make it champion; the ledger looks again at what may forbid it."""
        tried, judgement = look.tried, look.judgement
        last, ledger = tried.variant.act, self._archive.ledger
        if judgement.answer == "step up":
            facts: dict[str, Json] = {**last.facts, "variant": "canary", "share": f"{judgement.share:.6g}"}
            act = _next(last, "traffic", judgement.reason, facts, now)
            before = last if tried.variant.name == "canary" else None
            move_traffic(ledger, act, expected=before, champion=tried.champion)
            yield f"{self._ref(tried)} answers {100 * judgement.share:.4g}% of the requests: {judgement.reason}"
        elif judgement.answer == "promote":
            kept = {name: last.facts[name] for name in ("window", "approvals") if name in last.facts}
            act = _next(last, "promote", judgement.reason, kept, now)
            ledger.move_champion(act, expected=tried.champion.version, still=partial(_stands, last))
            yield f"{self._ref(tried)} is champion: {judgement.reason}"

    def _deploy(self) -> Iterator[str]:
        """Ask the workers for what the ledger says, unless they have been asked; of what cannot be, it is said once."""
        asked, acts = read_deployment(self._folder), self._archive.ledger.acts(self._product.name)
        if asked is None or not undeployed(acts, asked):
            return
        found = routed(self._archive, self._product)
        if (found.routes, found.beside) == (asked.routes, asked.beside):
            return
        said = deploy(self._settings, self._product, self._archive)
        if said != self._deployed:
            yield said
        self._deployed = said

    @property
    def _plan(self) -> Canary:
        """The declared ramp; where none is, its default margins, and no step between shadow and champion."""
        return self._product.endpoint.canary or Canary.model_validate({"steps": ["100%"], "min_requests": 1})

    def _step(self, variant: Variant, found: Seen) -> Step:
        hold = self._product.endpoint.shadow if variant.name == "shadow" else self._plan.hold
        since = datetime.fromisoformat(variant.act.at)
        return Step(share=variant.share, since=since, hold=hold or timedelta(0), looks=found.looks)

    def _ref(self, tried: Tried) -> str:
        return f"{self._product.name}[{tried.segment}]: {tried.variant.name} {tried.variant.version}"


def tend(
    product: ModelProduct, settings: Settings, now: datetime, *, whole: bool, labelled: Labelled = labelled_by_id
) -> list[str]:
    """Judge everyone whom a product tries, act on it, and say what was done; without `whole` only take back."""
    return Tending(product, settings, labelled).tend(now, whole=whole)


def _next(last: Act, kind: str, reason: str, facts: dict[str, Json], now: datetime) -> Act:
    return msgspec.structs.replace(last, kind=kind, by=BY, reason=reason, at=stamp(now), facts=facts)


def _stands(last: Act, acts: list[Act]) -> bool:
    return any(each.act == last for each in traffic_of(acts, last.segment or "").values())
