"""What people do about candidates, as steps of a machine: they agree, reject and waive, or somebody forges it."""

from datetime import datetime, timedelta
from typing import Literal

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Json
from mlops_assets.evidence.signed import ASSERTED, sign
from mlops_assets_tests.gate_life import FLAWS, OFTEN_NOTHING, PLACES, ROLES, Life
from mlops_assets_tests.gate_oracle import Model, Signed
from mlops_assets_tests.gate_world import KEYS, NEEDED, OWN, PEOPLE, Clock

PROBLEMS = (
    *(f"{claim}: {flaw}" for claim in (OWN, "features_are_equal", "calibration") for flaw in FLAWS),
    *("asked for", "agreed to another", "agreed before", "agreed in the future", "one person", "no such role"),
    *(
        "not signed",
        "changed after signing",
        "expired",
        "waiver",
        "waiver",
        "waiver by nobody",
        "waiver by one who agrees",
        "waiver over",
    ),
)
Kind = Literal["approve", "reject", "waive"]
Hand = Literal["own", "none", "changed"]
HANDS: dict[str, Hand] = {"not signed": "none", "changed after signing": "changed"}


class People(Life):
    """A world with people in it, some of whom are not who they say they are."""

    def good_but_for(self, partition: str, better: int, problem: str) -> None:
        """Train what is better than the champion by so many rows, and let people agree; one thing may not be right."""
        champion = self.truth.models.get(self.truth.champions.get(partition.split("|")[0], ""))
        wrong = max(len(champion.wrong) - better, 0) if champion else 16
        before = self.heads.get(partition, "")
        self.trained(partition, wrong, asked_by="ana" if problem == "asked for" else "")
        model = self.truth.models[self.heads[partition]]
        claim, _, flaw = problem.partition(": ")
        if flaw or problem.startswith("waiver"):
            model.flaws = {claim: flaw} if flaw else {"calibration": "failed"}
            self.world.flaws[model.record] = dict(model.flaws)
        about = self.truth.models.get(before, model) if problem == "agreed to another" else model
        by = {"business": "ana", "risk": "ben"}
        by |= {"one person": {"business": "cat", "risk": "cat"}, "no such role": {"risk": "ana"}}.get(problem, {})
        by |= {"business": "cat"} if problem == "waiver by one who agrees" else {}
        hours = {"agreed before": -1, "agreed in the future": 1}.get(problem, 0)
        for role in self.truth.needed:
            self.enter(about, "approve", by[role], role, hours=hours, hand=HANDS.get(problem, "own"))
        if problem.startswith("waiver"):
            waiving = {"waiver by nobody": "eve", "waiver by one who agrees": "cat"}.get(problem, "dan")
            self.enter(model, "waive", waiving, "calibration", lasts_h=1)
        Clock.told += timedelta(hours={"expired": 14 * 24, "waiver over": 1}.get(problem, 0))

    @rule(
        kind=st.sampled_from((*["approve"] * 7, "waive", "waive", "reject")),
        place=PLACES,
        by=st.sampled_from((*PEOPLE, "ana", "ben", "dan")),
        role=st.integers(0, 9),
        age_h=st.sampled_from((0, 0, 0, 0, 1, 24, -1)),
        lasts_h=st.sampled_from((None, 1, 100, 1000)),
        forged=st.sampled_from(
            (*OFTEN_NOTHING, "unsigned", "asserted", "by eve", "for another", "role", "longer", "naive")
        ),
    )
    @precondition(lambda self: self.heads)
    def act_as_a_person(
        self, kind: Kind, place: int, by: str, role: int, age_h: int, lasts_h: int | None, forged: str
    ) -> None:
        """Enter an act as anyone can who can write to the ledger, with whatever is not as it should be."""
        model, other = self.any_model(place), self.any_model(place + 1)
        at = Clock.told - timedelta(hours=age_h)
        until = None if lasts_h is None else at + timedelta(hours=lasts_h)
        about = (
            ("calibration", OWN)
            if kind == "waive"
            else (*(sorted(ROLES.get(by, set[str]()) & set(NEEDED)) * 4), *NEEDED)
        )
        named = about[role % len(about)]
        facts: dict[str, Json] = {"criterion" if kind == "waive" else "role": named}
        facts |= {} if until is None else {"until": until.isoformat()}
        honest = self.world.act(kind, segment=model.segment, version=model.version, record=model.record, by=by, at=at)
        honest = msgspec.structs.replace(honest, facts=facts)
        self.world.archive.ledger.add(_forged(honest, by, forged, other.record, named))
        written = Signed(
            kind=kind,
            record=other.record if forged == "for another" else model.record,
            by=by,
            genuine=forged == ""
            or (forged == "for another" and other is model)
            or (forged == "by eve" and by == "eve"),
            role=named,
            at_s=at.timestamp(),
            until_s=until.timestamp() if until else float("-inf" if kind == "waive" else "inf"),
        )
        self.truth.acts.append(written)
        self.took(f"{kind} {forged}".strip())

    def enter(
        self,
        model: Model,
        kind: Kind,
        by: str,
        role: str,
        *,
        hours: int = 0,
        lasts_h: int | None = None,
        hand: Hand = "own",
    ) -> None:
        """Enter an act of `by`, so many hours from now; all else is as it should be if it is by their own hand."""
        at = Clock.told + timedelta(hours=hours)
        until = at + timedelta(hours=lasts_h) if lasts_h else None
        facts: dict[str, Json] = {"criterion" if kind == "waive" else "role": role}
        facts |= {"until": until.isoformat()} if until else {}
        act = self.world.act(kind, segment=model.segment, version=model.version, record=model.record, by=by, at=at)
        act = msgspec.structs.replace(act, facts=facts)
        signed = sign(msgspec.structs.replace(act, record="another") if hand == "changed" else act, KEYS[by])
        entered = act if hand == "none" else msgspec.structs.replace(signed, record=model.record)
        self.world.archive.ledger.add(entered)
        at_s, until_s = at.timestamp(), until.timestamp() if until else float("inf")
        self.truth.acts.append(
            Signed(kind=kind, record=model.record, by=by, genuine=hand == "own", role=role, at_s=at_s, until_s=until_s)
        )


def _forged(act: Act, by: str, how: str, other: str, role: str) -> Act:
    """Return an act as its forger would have it; with nothing forged it is signed by who it is by."""
    if how == "unsigned":
        return act
    if how == "asserted":
        return msgspec.structs.replace(act, by=by + ASSERTED)
    if how == "naive":
        naive = datetime.fromisoformat(act.at).replace(tzinfo=None).isoformat()
        return sign(msgspec.structs.replace(act, at=naive), KEYS[by])
    signed = sign(act, KEYS["eve" if how == "by eve" else by])
    if how == "for another":
        return msgspec.structs.replace(signed, record=other)
    if how == "role":
        return msgspec.structs.replace(signed, facts={**signed.facts, "role": role, "criterion": "calibration", "x": 1})
    if how == "longer":
        return msgspec.structs.replace(signed, facts={**signed.facts, "until": "2099-01-01T00:00:00+00:00"})
    return signed
