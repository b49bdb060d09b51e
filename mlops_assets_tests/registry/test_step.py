"""The decision on a candidate: one entry in the ledger, however often it is made, and only on evidence."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.ledger import Act, Ledger
from mlops_assets.evidence.step import NotReady
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.registry.scored import evidence_of
from mlops_assets.registry.step import ChampionStep
from mlops_assets.rules import Gate, Trainer
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, TREES, WEEKS, deployment, make, registered, sales

PRODUCT = HOUSES.model_copy(update={"trainer": Trainer(windows=1, params=dict(TREES))})
FIRST, SECOND, THIRD = (f"bath|{week}" for week in WEEKS)
Candidate = Callable[..., Held]


def per_room(houses: pl.LazyFrame) -> pl.LazyFrame:
    return houses.select(per_room=pl.col("price") / pl.col("rooms"), price=pl.col("price"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three weeks of Bath; in the third, dear houses are sold and cheap ones are not."""
    bath = sales(3, rows=150).filter(pl.col("town") == "bath")
    turned = pl.when(pl.col("id").str.slice(5, 4) >= "0119").then(1 - pl.col("sold")).otherwise("sold")
    return deployment(tmp_path, bath.with_columns(sold=turned))


@pytest.fixture
def candidate(settings: Settings) -> Candidate:
    """Train and register a model on the data of a partition."""
    versions: dict[str, int] = {}

    def made(partition: str, product: ModelProduct = PRODUCT) -> Held:
        held = make(settings, product, partition, *DATA, Stage.MODEL)[Stage.MODEL]
        registered(settings, held, versions.setdefault(held.id, len(versions) + 1))
        return held

    return made


def decide(settings: Settings, partition: str, product: ModelProduct = PRODUCT) -> Held:
    return make(settings, product, partition, Stage.CHAMPION)[Stage.CHAMPION]


def decisions(settings: Settings) -> list[tuple[str, int | None]]:
    acts = Archive(settings.home).ledger.acts("houses", "promote", "refuse", "rollback")
    return [(act.kind, act.version) for act in acts]


def test_the_first_candidate_over_the_floor_is_promoted_and_then_kept(settings: Settings, candidate: Candidate):
    model = candidate(FIRST)

    first, second = decide(settings, FIRST), decide(settings, FIRST)

    assert [held.record.facts["answer"] for held in (first, second)] == ["promote", "keep"]
    assert decisions(settings) == [("promote", 1)]
    [act] = Archive(settings.home).ledger.acts("houses", "promote")
    assert (act.record, act.segment, act.facts["window"], act.by) == (model.id, "bath", WEEKS[0], "gate")
    assert second.record.state | {"champion": model.id, "predecessor": first.id} == second.record.state
    assert [each.record for each in first.record.inputs] == [model.id]


def test_a_refusal_is_told_once_however_often_it_is_made(settings: Settings, candidate: Candidate):
    strict = PRODUCT.model_copy(update={"gate": Gate(metric="auc", floor=0.999)})
    candidate(FIRST)

    made = [decide(settings, FIRST, strict) for _ in range(3)]

    assert decisions(settings) == [("refuse", 1)]
    assert {held.record.facts["answer"] for held in made} == {"refuse"}
    assert len({held.id for held in made}) == 3  # an act is never skipped
    check = next(check for check in made[0].record.checks if check.name == "gate")
    assert (check.passed, check.severity) == (False, "warn")
    assert "does not reach the floor 0.999" in str(check.facts["reasons"])


def test_a_better_candidate_replaces_the_champion_and_says_by_how_much(settings: Settings, candidate: Candidate):
    candidate(SECOND)
    decide(settings, SECOND)
    candidate(THIRD)

    facts = decide(settings, THIRD).record.facts

    assert decisions(settings) == [("promote", 1), ("promote", 2)]
    assert float(str(facts["champion"])) < 0.3 < 0.7 < float(str(facts["candidate"]))
    assert float(str(facts["lower"])) > 0


def test_what_a_person_rolled_back_is_not_promoted_again_by_being_made_again(settings: Settings, candidate: Candidate):
    candidate(SECOND)
    decide(settings, SECOND)
    candidate(THIRD)
    decide(settings, THIRD)
    ledger = Archive(settings.home).ledger
    first = next(act for act in ledger.acts("houses", "promote") if act.version == 1)
    back = msgspec.structs.replace(first, kind="rollback", by="jo (asserted)", reason="it harms")
    ledger.move_champion(back, expected=2)

    facts = decide(settings, THIRD).record.facts

    assert facts["answer"] == "refuse"
    assert "rolled it back at" in str(facts["reasons"])
    assert "it harms; mlops-assets rollback houses --to 2 puts it back" in str(facts["reasons"])
    assert decisions(settings) == [("promote", 1), ("promote", 2), ("rollback", 1), ("refuse", 2)]


def test_an_equal_candidate_is_refused(settings: Settings, candidate: Candidate):
    candidate(FIRST)
    decide(settings, FIRST)
    candidate(SECOND)

    decide(settings, SECOND)

    assert decisions(settings) == [("promote", 1), ("refuse", 2)]


def test_a_backfill_of_an_older_window_changes_nothing(settings: Settings, candidate: Candidate):
    candidate(SECOND)
    decide(settings, SECOND)
    candidate(FIRST)

    older = decide(settings, FIRST)

    assert older.record.facts["answer"] == "superseded"
    assert decisions(settings) == [("promote", 1)]


def other(settings: Settings, version: int) -> Act:
    """What somebody else promotes meanwhile."""
    known = Archive(settings.home).ledger.version("houses", version)
    assert known is not None
    return Act(
        kind="promote",
        product="houses",
        segment="bath",
        version=version,
        record=known.record,
        by="somebody else",
        reason="raced",
        at="2026-01-20T00:00:00.000+00:00",
    )


def test_a_champion_that_changed_while_the_candidate_was_judged_is_not_replaced(
    settings: Settings, candidate: Candidate
):
    candidate(FIRST)
    candidate(THIRD)
    archive = Archive(settings.home)
    prepared = ChampionStep(product=PRODUCT, archive=archive, settings=settings).prepare(THIRD)
    archive.ledger.move_champion(other(settings, 1), expected=None)

    with pytest.raises(NotReady, match=r"houses\[bath\]: the champion changed while its candidate was judged; run it"):
        prepared.build()

    assert decisions(settings) == [("promote", 1)]
    assert decide(settings, THIRD).record.facts["answer"] == "promote"


def test_of_two_promotions_at_the_same_moment_one_is_told_to_run_again(settings: Settings, candidate: Candidate):
    candidate(FIRST)
    candidate(THIRD)

    class Raced(Ledger):
        """Somebody else's promotion comes just before ours."""

        def move_champion(self, act: Act, *, expected: int | None) -> Act:
            super().move_champion(other(settings, 1), expected=expected)
            return super().move_champion(act, expected=expected)

    archive = Archive(settings.home)
    archive.ledger = Raced(settings.home / "ledger.jsonl")

    with pytest.raises(NotReady, match="the champion changed while its candidate was judged; run it again"):
        ChampionStep(product=PRODUCT, archive=archive, settings=settings).make(THIRD)

    assert decisions(settings) == [("promote", 1)]
    assert archive.head(ChampionStep(product=PRODUCT, archive=archive, settings=settings).place(THIRD)) is None


def test_nothing_is_decided_on_a_model_that_is_missing_or_not_registered(settings: Settings):
    make(settings, PRODUCT, FIRST)
    with pytest.raises(NotReady, match=r"houses/model\[bath\|2026-01-05\] is missing; make it first"):
        decide(settings, FIRST)
    make(settings, PRODUCT, FIRST, Stage.MODEL)

    with pytest.raises(NotReady, match=r"houses/model\[bath\|2026-01-05\] is not registered; materialize it again"):
        decide(settings, FIRST)


def test_nothing_is_promoted_while_the_product_is_paused(settings: Settings, candidate: Candidate):
    candidate(FIRST)
    ledger = Archive(settings.home).ledger
    ledger.add(Act(kind="pause", product="houses", by="jo", reason="audit", at="2026-01-20T00:00:00.000+00:00"))

    with pytest.raises(NotReady, match="houses is paused; mlops-assets resume houses"):
        decide(settings, FIRST)

    assert decisions(settings) == []


@pytest.mark.parametrize("features", [("price",), f"{__name__}.per_room"])
def test_a_champion_is_measured_on_its_own_features_where_the_candidate_has_others(
    settings: Settings, candidate: Candidate, features: tuple[str, ...] | str
):
    changed = PRODUCT.model_copy(update={"features": features})
    same = make(settings, PRODUCT, THIRD, *DATA, Stage.MODEL)[Stage.MODEL]
    candidate(SECOND)
    decide(settings, SECOND)
    candidate(THIRD, changed)

    decided = decide(settings, THIRD, changed)

    archive = Archive(settings.home)
    step = ChampionStep(product=changed, archive=archive, settings=settings)
    champion = archive.held(decided.record.state["champion"])
    directly = evidence_of(step, champion, same, archive.table(same, "holdout"))
    assert decided.record.facts["answer"] == "promote"
    model = archive.head(step.place(THIRD, Stage.MODEL))
    assert model is not None
    again = evidence_of(step, champion, model, archive.table(model, "holdout"))
    assert directly.scores is not None
    assert again.scores is not None
    assert again.scores.tolist() == directly.scores.tolist()


def test_a_champion_whose_features_cannot_be_made_any_more_is_not_replaced_and_the_reason_is_told(
    settings: Settings, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
):
    candidate(SECOND, PRODUCT.model_copy(update={"features": f"{__name__}.per_room"}))
    decide(settings, SECOND)
    candidate(THIRD)
    monkeypatch.delattr(f"{__name__}.per_room")

    decided = decide(settings, THIRD)

    [reason] = decided.record.facts["reasons"]  # pyright: ignore
    assert decided.record.facts["answer"] == "refuse"
    assert reason.startswith("the champion's scores on the held-out rows are missing: no function ")
    assert reason.endswith("keep the function and columns that a champion learned from, and give new ones other names")
    assert decisions(settings) == [("promote", 1), ("refuse", 2)]
