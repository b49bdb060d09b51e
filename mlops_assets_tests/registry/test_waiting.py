"""A candidate that waits for people: nothing fails, nothing is promoted before they agreed, then it is judged anew."""

import multiprocessing
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Literal

import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.ledger import Act, Ledger
from mlops_assets.evidence.step import NotReady
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.registry import step as champion_step
from mlops_assets.registry.people.acting import Desk, act_on, approving, enter, pasted, signer, statement, waiving
from mlops_assets.registry.people.pending import pending, reopened
from mlops_assets.registry.people.people import read_people
from mlops_assets.registry.step import ChampionStep
from mlops_assets.rules import Approval, Gate, Trainer
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, TREES, WEEKS, deployment, make, registered, sales
from mlops_assets_tests.signers import Signers, signers

PLAIN = HOUSES.model_copy(update={"trainer": Trainer(windows=1, params=dict(TREES))})
PRODUCT = PLAIN.model_copy(update={"approval": Approval(roles=("business", "risk"), expires=timedelta(days=3))})
FIRST, SECOND, THIRD = (f"bath|{week}" for week in WEEKS)


class Clock(datetime):
    """The time that a decision is told, which runs `ahead`."""

    ahead = timedelta(0)

    @classmethod
    def now(cls, tz: object = None) -> "Clock":
        return cls.fromisoformat((datetime.now(UTC) + Clock.ahead).isoformat())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three weeks of Bath; in the third, dear houses are sold and cheap ones are not."""
    bath = sales(3, rows=150).filter(pl.col("town") == "bath")
    turned = pl.when(pl.col("id").str.slice(5, 4) >= "0119").then(1 - pl.col("sold")).otherwise("sold")
    return deployment(tmp_path, bath.with_columns(sold=turned))


@pytest.fixture
def crowd(settings: Settings, tmp_path: Path) -> Signers:
    return signers(tmp_path / "keys", settings.defs)


def candidate(settings: Settings, partition: str, version: int, product: ModelProduct = PRODUCT) -> Held:
    """Train and register a model on the data of a partition."""
    held = make(settings, product, partition, *DATA, Stage.MODEL)[Stage.MODEL]
    registered(settings, held, version)
    return held


def decide(settings: Settings, partition: str, product: ModelProduct = PRODUCT) -> Held:
    return make(settings, product, partition, Stage.CHAMPION)[Stage.CHAMPION]


def desk(settings: Settings, product: ModelProduct = PRODUCT) -> Desk:
    people = read_people(settings.defs)
    return Desk(archive=Archive(settings.home), product=product, people=people, now=datetime.now(UTC))


def say(
    settings: Settings,
    crowd: Signers,
    kind: Literal["approve", "reject"],
    by: str | None,
    role: str | None = None,
    version: int = 1,
) -> Act:
    """Enter what somebody says of a version; None has no key."""
    at = desk(settings)
    who = signer(at.people, crowd.key(by) if by else None)
    facts = approving(at, role, who) if kind == "approve" else {}
    act = act_on(at, version, kind, "looked at it", facts, who)
    enter(at, act)
    return act


def decisions(settings: Settings) -> list[tuple[str, int | None]]:
    acts = Archive(settings.home).ledger.acts("houses", "promote", "refuse", "wait")
    return [(act.kind, act.version) for act in acts]


def again(settings: Settings) -> list[str]:
    """The partitions that have to be decided on again."""
    at = desk(settings)
    return [due.partition for due in reopened(at.archive, PRODUCT, at.people, at.now, at.acts)]


def waiting(settings: Settings) -> list[tuple[int, tuple[str, ...]]]:
    at = desk(settings)
    return [(each.version, each.standing.missing) for each in pending(at.archive, PRODUCT, at.people, at.now)]


def test_it_waits_once_however_often_it_is_decided_on_and_is_promoted_when_all_have_agreed(
    settings: Settings, crowd: Signers
):
    model = candidate(settings, FIRST, 1)

    first, second = decide(settings, FIRST), decide(settings, FIRST)
    say(settings, crowd, "approve", "ana")
    one = (waiting(settings), again(settings))
    say(settings, crowd, "approve", "kim")
    both = (waiting(settings), again(settings))
    last = decide(settings, FIRST)

    assert [held.record.facts["answer"] for held in (first, second)] == ["wait", "wait"]
    [gate, approved] = first.record.checks[-2:]
    assert (gate.name, gate.passed) == ("gate", True)
    assert (approved.name, approved.passed, approved.severity, approved.blocking) == ("approved", False, "warn", False)
    assert approved.facts["missing"] == ["business", "risk"]
    assert one == ([(1, ("risk",))], [])
    assert both == ([(1, ())], [FIRST])
    assert last.record.facts["answer"] == "promote"
    assert decisions(settings) == [("wait", 1), ("promote", 1)]
    [promoted] = Archive(settings.home).ledger.acts("houses", "promote")
    assert (promoted.record, len(promoted.facts["approvals"])) == (model.id, 2)  # pyright: ignore[reportArgumentType]
    assert (waiting(settings), again(settings)) == ([], [])


def test_an_asserted_approval_is_kept_and_fills_no_role(settings: Settings, crowd: Signers):
    candidate(settings, FIRST, 1)
    decide(settings, FIRST)

    for role in ("business", "risk"):
        say(settings, crowd, "approve", None, role)

    assert decide(settings, FIRST).record.facts["answer"] == "wait"
    assert [act.by.endswith("(asserted)") for act in Archive(settings.home).ledger.acts("houses", "approve")] == [
        True
    ] * 2


def test_approvals_that_expired_before_the_decision_leave_it_waiting(
    settings: Settings, crowd: Signers, monkeypatch: pytest.MonkeyPatch
):
    candidate(settings, FIRST, 1)
    decide(settings, FIRST)
    say(settings, crowd, "approve", "ana")
    say(settings, crowd, "approve", "kim")
    monkeypatch.setattr(champion_step, "datetime", Clock)

    monkeypatch.setattr(Clock, "ahead", timedelta(days=3, minutes=1))
    late = decide(settings, FIRST)
    monkeypatch.setattr(Clock, "ahead", timedelta(days=-1))  # a clock that is set back
    early = decide(settings, FIRST)

    assert [held.record.facts["answer"] for held in (late, early)] == ["wait", "wait"]
    assert "expired at" in str(late.record.facts["not_counted"])
    assert "dated in the future" in str(early.record.facts["not_counted"])
    assert decide_now(settings, monkeypatch) == "promote"


def decide_now(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(Clock, "ahead", timedelta(0))
    return decide(settings, FIRST).record.facts["answer"]


def test_a_rejected_candidate_is_refused_and_can_neither_be_approved_nor_promoted(settings: Settings, crowd: Signers):
    candidate(settings, FIRST, 1)
    decide(settings, FIRST)
    say(settings, crowd, "approve", "ana")
    say(settings, crowd, "reject", None)
    assert (waiting(settings), again(settings)) == ([], [FIRST])

    refused = decide(settings, FIRST)

    assert refused.record.facts["answer"] == "refuse"
    assert decisions(settings) == [("wait", 1), ("refuse", 1)]
    assert again(settings) == []
    for kind in ("approve", "reject"):
        with pytest.raises(ValueError, match=r"houses@1 cannot be \w+: it was rejected by .* \(asserted\) at "):
            say(settings, crowd, kind, "kim")


def test_approvals_are_of_one_record(settings: Settings, crowd: Signers):
    candidate(settings, SECOND, 1)
    decide(settings, SECOND)
    for by in ("ana", "kim"):
        say(settings, crowd, "approve", by)
    changed = PRODUCT.model_copy(update={"seed": 1})
    candidate(settings, SECOND, 2, changed)

    other = decide(settings, SECOND, changed)

    assert other.record.facts["answer"] == "wait"
    assert (waiting(settings), again(settings)) == ([(2, ("business", "risk"))], [])
    with pytest.raises(ValueError, match="houses@1 cannot be approved: it is superseded: 2026-01-12 was trained again"):
        say(settings, crowd, "approve", "joe", "risk")


def test_the_evidence_is_judged_anew_when_all_have_agreed(settings: Settings, crowd: Signers):
    candidate(settings, FIRST, 1)
    candidate(settings, SECOND, 2)
    for partition in (FIRST, SECOND):
        decide(settings, partition)
    for version in (1, 2):
        for by in ("ana", "kim"):
            say(settings, crowd, "approve", by, version=version)

    answers = [decide(settings, partition).record.facts["answer"] for partition in (FIRST, SECOND)]

    assert answers == ["promote", "refuse"]  # the second would have been a first champion, and is no better than one
    assert again(settings) == []


def test_an_older_candidate_is_superseded_while_it_waits(settings: Settings, crowd: Signers):
    candidate(settings, FIRST, 1)
    decide(settings, FIRST)
    candidate(settings, THIRD, 2, PLAIN)
    decide(settings, THIRD, PLAIN)

    assert waiting(settings) == []
    with pytest.raises(ValueError, match="houses@1 cannot be approved: it is superseded: it learned up to 2026-01-05"):
        say(settings, crowd, "approve", "ana")


@pytest.mark.parametrize(
    ("version", "error", "problem"),
    [
        (9, LookupError, "no version houses@9; known versions: 1, 2"),
        (1, ValueError, "houses@1 cannot be approved: it was promoted at "),
        (2, ValueError, "houses@2 cannot be approved: the gate has not judged it yet"),
    ],
)
def test_what_cannot_be_approved_is_refused_with_the_reason(
    settings: Settings, crowd: Signers, version: int, error: type[Exception], problem: str
):
    candidate(settings, FIRST, 1, PLAIN)
    decide(settings, FIRST, PLAIN)
    candidate(settings, SECOND, 2)

    with pytest.raises(error, match=problem):
        say(settings, crowd, "approve", "ana", version=version)


@pytest.mark.parametrize(
    ("by", "role", "problem"),
    [
        ("eve", None, "eve has none of the roles business, risk; right is --role"),
        ("joe", None, "joe has business and risk of the roles business, risk; right is --role"),
        ("eve", "risk", "eve does not have the role 'risk' in people.yaml"),
        ("ana", "chef", "no role 'chef' has to agree; roles: business, risk"),
        ("joe", "risk", "joe agreed as business already; each role is another person's"),
    ],
)
def test_an_approval_that_cannot_count_is_not_entered(
    settings: Settings, crowd: Signers, by: str, role: str | None, problem: str
):
    candidate(settings, FIRST, 1)
    decide(settings, FIRST)
    say(settings, crowd, "approve", "joe", "business")
    before = len(Archive(settings.home).ledger.acts("houses"))

    with pytest.raises(ValueError, match=problem):
        say(settings, crowd, "approve", by, role)

    assert len(Archive(settings.home).ledger.acts("houses")) == before


def test_a_statement_that_is_pasted_is_taken_once_and_only_for_what_it_says(settings: Settings, crowd: Signers):
    candidate(settings, FIRST, 1)
    decide(settings, FIRST)
    at = desk(settings)
    kim = signer(at.people, crowd.key("kim"))
    text = statement(act_on(at, 1, "approve", "good", approving(at, None, kim), kim))

    for _ in range(2):
        enter(at, pasted(at, 1, "approve", text))

    assert [act.by for act in at.acts if act.kind == "approve"] == ["kim"]
    for version, kind, pasted_text, problem in (
        (1, "reject", text, "the statement says approve houses@1.*; right is reject houses@1"),
        (1, "approve", text.replace("good", "bad"), "not signed by the key that it names"),
        (1, "approve", "yes", "no signed statement"),
        (7, "approve", text, "no version houses@7"),
    ):
        with pytest.raises((ValueError, LookupError), match=problem):
            pasted(at, version, kind, pasted_text)


def test_a_waiver_lets_one_candidate_pass_without_one_criterion(settings: Settings, crowd: Signers):
    product = PLAIN.model_copy(update={"gate": Gate(metric="auc", floor=0.6, latency=timedelta(microseconds=1))})
    candidate(settings, FIRST, 1, product)
    before = decide(settings, FIRST, product)
    at = desk(settings, product)
    for by in (None, "kim"):
        who = signer(at.people, crowd.key(by) if by else None)
        act = act_on(at, 1, "waive", "known", waiving(at, "latency", "2099-01-31"), who)
        if by is None:
            enter(at, act)  # asserted: kept, and it waives nothing
            continue
        with pytest.raises(ValueError, match="kim does not have the role 'waiver'"):
            enter(at, act)
    unmoved = decide(settings, FIRST, product)
    ward = signer(at.people, crowd.key("ward"))
    enter(at, act_on(at, 1, "waive", "known", waiving(at, "latency", "2099-01-31"), ward))

    after = decide(settings, FIRST, product)

    assert [held.record.facts["answer"] for held in (before, unmoved, after)] == ["refuse", "refuse", "promote"]
    assert "latency is waived by ward until 2099-02-01T00:00+00:00, for: known" in str(after.record.facts["reasons"])
    with pytest.raises(LookupError, match="no criterion 'fairness'; criteria: latency"):
        waiving(at, "fairness", "2099-01-31")
    with pytest.raises(ValueError, match="--until 2020-01-31 is over"):
        waiving(at, "latency", "2020-01-31")


@pytest.mark.parametrize("kind", ["pause", "reject"])
def test_nothing_is_promoted_that_somebody_stopped_while_it_was_judged(
    settings: Settings, kind: Literal["pause", "reject"]
):
    held = candidate(settings, FIRST, 1, PLAIN)
    archive = Archive(settings.home)
    prepared = ChampionStep(product=PLAIN, archive=archive, settings=settings).prepare(FIRST)

    class Raced(Ledger):
        """Somebody stops it just before it is promoted."""

        def move_champion(self, act: Act, *, expected: int | None) -> Act:
            stop = Act(kind=kind, product="houses", record=held.id, by="jo", reason="stop", at=act.at)
            self.add(stop)
            return super().move_champion(act, expected=expected)

    archive.ledger = Raced(settings.home / "ledger.jsonl")
    with pytest.raises(NotReady, match="meanwhile; nothing was promoted"):
        prepared.build()

    assert decisions(settings) == []


def raced(settings: Settings, partition: str, both: Barrier) -> str:
    """Decide in a process of its own; both come to the ledger at the same moment."""
    move: Callable[..., Act] = Ledger.move_champion

    def together(self: Ledger, act: Act, *, expected: int | None) -> Act:
        both.wait(60)
        return move(self, act, expected=expected)

    Ledger.move_champion = together  # type: ignore[method-assign]
    try:
        return str(decide(settings, partition, PLAIN).record.facts["answer"])
    except NotReady as problem:
        return str(problem)


def _raced(settings: Settings, partition: str, both: Barrier, said: "multiprocessing.Queue[str]") -> None:
    said.put(raced(settings, partition, both))


def test_of_two_promotions_in_two_processes_one_wins_and_the_other_says_so_and_changes_nothing(settings: Settings):
    for version, partition in enumerate((FIRST, SECOND), 1):
        candidate(settings, partition, version, PLAIN)
    context = multiprocessing.get_context("spawn")
    both, said = context.Barrier(2), context.Queue()
    racers = [context.Process(target=_raced, args=(settings, each, both, said)) for each in (FIRST, SECOND)]
    for each in racers:
        each.start()
    answers = sorted(said.get(timeout=120) for _ in racers)
    for each in racers:
        each.join(60)

    assert answers[1] == "promote"
    assert "houses[bath]: the champion changed while its candidate was judged; run it again" in answers[0]
    assert len(decisions(settings)) == 1
    heads = Archive(settings.home).heads("houses", Stage.CHAMPION)
    assert len(heads) == 1  # the loser left no decision
