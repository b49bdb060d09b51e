"""Who has agreed: only signed, in a role of one's own, about this record, in force; one person fills one role."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.signed import proof_of
from mlops_assets.registry.gate import Verdict
from mlops_assets.registry.people.approvals import Case, Standing, agreed, standing, waivers
from mlops_assets.registry.people.people import People, read_people
from mlops_assets.rules import Approval
from mlops_assets_tests.signers import ROLES, Signers, act, asserted, signers

MADE = datetime(2026, 1, 20, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = MADE + 2 * HOUR
CASE = Case(product="houses", record="r", made=MADE)
APPROVAL = Approval(roles=("business", "risk"), expires=14 * DAY)
PROMOTE = Verdict(answer="promote", reasons=("better",), metric="auc")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Signers:
    folder = tmp_path_factory.mktemp("keys")
    return signers(folder, folder)


@pytest.fixture(scope="module")
def people(crowd: Signers) -> People:
    return read_people(crowd.defs)


def approval(by: str, role: str, *, at: datetime = MADE + HOUR, record: str = "r") -> Act:
    return act("approve", by, at, record=record, until=14 * DAY, role=role)


def found(acts: list[Act], people: People, *, case: Case = CASE, now: datetime = NOW) -> Standing:
    return standing(acts, people, APPROVAL, case, now)


def test_a_candidate_waits_until_every_role_has_agreed(crowd: Signers, people: People):
    ana, kim = (crowd.signed(approval(by, role)) for by, role in (("ana", "business"), ("kim", "risk")))

    nobody, one, both = (agreed(PROMOTE, found(acts, people)) for acts in ([], [ana], [ana, kim]))

    assert (nobody.answer, nobody.reasons) == ("wait", ("waits for business and risk to approve", "better"))
    assert (one.answer, one.reasons[:2]) == ("wait", ("waits for risk to approve", "ana agreed as business"))
    assert (both.answer, both.reasons) == ("promote", ("better", "ana agreed as business", "kim agreed as risk"))


def test_what_the_gate_does_not_promote_is_not_promoted_by_people(crowd: Signers, people: People):
    acts = [crowd.signed(approval(by, role)) for by, role in (("ana", "business"), ("kim", "risk"))]
    for answer in ("refuse", "superseded", "keep"):
        verdict = Verdict(answer=answer, reasons=("so",), metric="auc")
        assert agreed(verdict, found(acts, people)) == verdict


@pytest.mark.parametrize("by", ["ana", asserted("root")])
def test_a_rejected_candidate_is_refused_whoever_agreed_before_or_after(crowd: Signers, people: People, by: str):
    acts = [crowd.signed(approval(by, role)) for by, role in (("ana", "business"), ("kim", "risk"))]
    no = act("reject", by, MADE + HOUR)
    rejected = crowd.signed(no) if by == "ana" else no

    for order in ([rejected, *acts], [*acts, rejected]):
        verdict = agreed(PROMOTE, found(order, people))
        assert verdict.answer == "refuse"
        assert verdict.reasons[0] == f"rejected by {by} at 2026-01-20T01:00:00: reject by {by}"
    assert agreed(PROMOTE, standing([rejected], people, None, CASE, NOW)).answer == "refuse"


Flaw = tuple[Callable[[Signers], Act], str]
FLAWS: dict[str, Flaw] = {
    "asserted": (lambda crowd: approval(asserted("kim"), "risk"), "it is asserted, not signed"),
    "unsigned": (lambda crowd: approval("kim", "risk"), "it is not signed by the key that it names"),
    "altered": (
        lambda crowd: msgspec.structs.replace(crowd.signed(approval("kim", "risk")), reason="other"),
        "it is not signed by the key that it names",
    ),
    "another's key": (
        lambda crowd: msgspec.structs.replace(crowd.signed(approval("ana", "risk")), by="kim"),
        "it is not signed by the key that it names",
    ),
    "nobody": (lambda crowd: crowd.signed(approval("eve", "risk")), "eve does not have the role 'risk'"),
    "not one's role": (lambda crowd: crowd.signed(approval("ana", "risk")), "ana does not have the role 'risk'"),
    "no role of the product": (lambda crowd: crowd.signed(approval("ward", "waiver")), "'waiver' is no role of"),
    "of the future": (lambda crowd: crowd.signed(approval("kim", "risk", at=NOW + HOUR)), "it is dated in the future"),
    "older than the record": (
        lambda crowd: crowd.signed(approval("kim", "risk", at=MADE - HOUR)),
        "it is older than the model's record",
    ),
    "without a zone": (
        lambda crowd: crowd.signed(msgspec.structs.replace(approval("kim", "risk"), at="2026-01-20T01:00:00")),
        "is no time",
    ),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_an_approval_that_is_not_what_it_seems_does_not_count_and_says_why(crowd: Signers, people: People, flaw: str):
    made, problem = FLAWS[flaw]
    ana = crowd.signed(approval("ana", "business"))

    where = found([ana, made(crowd)], people)

    assert where.missing == ("risk",)
    assert problem in where.ignored[0]


@pytest.mark.parametrize("record", ["another", ""])
def test_an_approval_of_another_record_is_not_even_looked_at(crowd: Signers, people: People, record: str):
    where = found([crowd.signed(approval("kim", "risk", record=record))], people)

    assert (where.missing, where.ignored) == (("business", "risk"), ())


def test_one_person_fills_one_role(crowd: Signers, people: People):
    as_risk, as_business = (crowd.signed(approval("joe", role)) for role in ("risk", "business"))

    assert found([as_risk, as_business], people).missing == ("risk",)
    assert found([as_business, as_risk], people).missing == ("business",)


@pytest.mark.parametrize("asked", ["kim", "her key"])
def test_who_asked_for_the_training_cannot_approve_it(crowd: Signers, people: People, asked: str):
    name = people.by_name["kim"].key if asked == "her key" else asked
    kim = crowd.signed(approval("kim", "risk"))

    where = found([kim], people, case=Case(product="houses", record="r", made=MADE, asked_by=frozenset({name})))

    assert where.missing == ("business", "risk")
    assert "who asked for a model does not approve it" in where.ignored[0]


@pytest.mark.parametrize("by", ["kim", asserted("kim")])
def test_who_adopted_a_model_cannot_approve_it(crowd: Signers, people: People, by: str):
    adopted = act("adopt", by, MADE + HOUR)
    where = found([adopted, crowd.signed(approval("kim", "risk"))], people)

    assert where.missing == ("business", "risk")


def test_who_waived_a_criterion_cannot_approve_while_the_waiver_is_in_force(crowd: Signers, people: People):
    waived = crowd.signed(act("waive", "ward", MADE + HOUR, until=DAY, criterion="fairness"))
    acts = [waived, crowd.signed(approval("ward", "risk"))]

    assert found(acts, people).missing == ("business", "risk")
    assert found(acts, people, now=MADE + 2 * DAY).missing == ("business",)


def test_an_approval_expires(crowd: Signers, people: People):
    acts = [crowd.signed(approval("kim", "risk"))]
    end = MADE + HOUR + 14 * DAY

    assert found(acts, people, now=end - timedelta(milliseconds=1)).missing == ("business",)
    assert found(acts, people, now=end).missing == ("business", "risk")
    assert standing(acts, people, Approval(roles=("risk",), expires=HOUR), CASE, NOW + HOUR).missing == ("risk",)


def test_it_counts_who_somebody_is_today(crowd: Signers, people: People, tmp_path: Path):
    kim = crowd.signed(approval("kim", "risk"))
    elsewhere = Signers(folder=crowd.folder, defs=tmp_path)
    said: list[str] = []
    for roles, keys in (
        ({"ana": ("risk",)}, {}),
        ({"kim": ("business",)}, {}),
        ({"kim": ("risk",)}, {"kim": people.by_name["eve"].key}),
    ):
        elsewhere.declare(roles, keys)
        where = found([kim], read_people(tmp_path))
        assert where.missing == ("business", "risk")
        said += [each.partition("does not count: ")[2] for each in where.ignored]

    assert said == [
        "kim is not in people.yaml",
        "kim does not have the role 'risk' in people.yaml",
        "kim has another key in people.yaml by now",
    ]
    assert proof_of(kim) == "signed"  # what she signed stays proven


def test_while_the_people_file_is_broken_nobody_counts(crowd: Signers, tmp_path: Path):
    (tmp_path / "people.yaml").write_text("people: 3")

    where = found([crowd.signed(approval("kim", "risk"))], read_people(tmp_path))

    assert where.missing == ("business", "risk")
    assert f"{tmp_path / 'people.yaml'}:1: people: " in where.ignored[0]


def test_a_waiver_counts_when_the_role_signed_it_and_until_it_ends(crowd: Signers, people: People):
    def waived(by: str, sign: bool = True, **facts: str) -> Act:
        one = act("waive", by, MADE + HOUR, until=DAY, criterion="fairness", **facts)
        return crowd.signed(one) if sign else one

    good = waived("ward")

    assert waivers([good], people, CASE, NOW)["fairness"].by == "ward"
    assert waivers([good], people, CASE, MADE + HOUR + DAY) == {}
    assert waivers([good], people, CASE, MADE) == {}
    assert waivers([waived("kim"), waived(asserted("ward"), sign=False)], people, CASE, NOW) == {}
    assert waivers([good], people, Case(product="houses", record="other", made=MADE), NOW) == {}
    forever = crowd.signed(act("waive", "ward", MADE + HOUR, criterion="fairness"))
    assert waivers([forever], people, CASE, NOW) == {}


ACTS = st.tuples(
    st.sampled_from(("approve", "approve", "approve", "reject", "waive")),
    st.sampled_from(tuple(ROLES)),
    st.sampled_from(("business", "risk", "waiver")),
    st.integers(-2, 6),
    st.sampled_from(("signed", "signed", "asserted", "unsigned", "altered", "foreign")),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ACTS, max_size=8), st.integers(0, 12), st.sampled_from((None, "kim", "joe")))
def test_whatever_is_done_in_whatever_order_it_is_never_complete_without_two_people(
    crowd: Signers, people: People, drawn: list[tuple[str, str, str, int, str]], hours: int, asker: str | None
):
    now, life = MADE + hours * HOUR, 5 * HOUR
    case = Case(product="houses", record="r", made=MADE, asked_by=frozenset({asker} if asker else ()))
    made: list[Act] = []
    right: list[tuple[str, str, str, int]] = []
    for kind, by, role, at, how in drawn:
        facts = {"criterion": "fairness"} if kind == "waive" else {"role": role}
        who, record = asserted(by) if how == "asserted" else by, "other" if how == "foreign" else "r"
        one = act(kind, who, MADE + at * HOUR, record=record, until=life, **facts)
        one = one if how in ("asserted", "unsigned") else crowd.signed(one)
        made.append(msgspec.structs.replace(one, reason="changed") if how == "altered" else one)
        if how == "signed" and 0 <= at <= hours < at + 5:
            right.append((kind, by, role, at))

    where = standing(made, people, Approval(roles=("business", "risk"), expires=life), case, now)

    waived = {by for kind, by, _, _ in right if kind == "waive" and "waiver" in ROLES[by]}
    newest = {
        by: role
        for kind, by, role, _ in right
        if kind == "approve" and role in ROLES[by] and role != "waiver" and by not in waived and by != asker
    }
    rejected = any(kind == "reject" and how != "foreign" for kind, _, _, _, how in drawn)
    assert bool(where.rejected) == rejected
    assert set(where.missing) == {"business", "risk"} - set(newest.values())
    assert where.complete == (not rejected and set(newest.values()) == {"business", "risk"})
    assert len({each.by for each in where.agreed}) == len(where.agreed)
