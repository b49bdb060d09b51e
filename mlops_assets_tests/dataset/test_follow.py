"""Which windows of data are due: none is lost, none twice, and what is done costs nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.dataset.follow import due
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import Place
from mlops_assets.evidence.step import Due
from mlops_assets.parts import Label
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import (
    HOUSES,
    TOWNS,
    WEEKS,
    answered,
    champion,
    deployment,
    make,
    outcomes,
    over,
    partitions,
    sales,
    write,
)

LATER = datetime(2026, 3, 1, tzinfo=UTC)
TUESDAY = datetime(2026, 1, 13, 12, tzinfo=UTC)
BATH = f"bath|{WEEKS[1]}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two weeks of houses; nothing is made of them yet."""
    return deployment(tmp_path, sales(2))


@pytest.fixture
def made(settings: Settings) -> Settings:
    """Two weeks of houses, of which all data is made and noted as done."""
    for partition in partitions():
        make(settings, HOUSES, partition)
    assert look(settings) == []
    return settings


def look(settings: Settings, now: datetime = LATER, product: ModelProduct = HOUSES) -> list[Due]:
    return list(due(product, settings, now))


def notes(settings: Settings) -> Path:
    return settings.home / "sensors" / "houses_data.json"


def broken(settings: Settings, stage: Stage, partition: str) -> None:
    held = Archive(settings.home).head(Place(product="houses", stage=stage, partition=partition))
    assert held is not None
    (settings.home / "records" / held.id[:2] / held.id).unlink()


def test_every_window_whose_labels_are_due_is_due_the_oldest_first(settings: Settings):
    ended = datetime(2026, 1, 19, tzinfo=UTC)

    before, after = look(settings, ended), look(settings, ended + HOUSES.label.delay)

    assert [each.partition for each in before] == [f"{town}|{WEEKS[0]}" for town in TOWNS]
    assert [each.partition for each in after] == partitions()
    assert {each.why for each in after} == {"annotations: missing, never made"}


def test_nobody_looks_further_than_somebody_takes(made: Settings):
    write(made, sales(2, cheap=60))
    broken(made, Stage.DATASET, f"york|{WEEKS[1]}")

    taken = next(iter(due(HOUSES, made, LATER)))

    assert (taken.partition, taken.why.startswith("annotations: stale")) == (f"bath|{WEEKS[0]}", True)


def test_what_is_done_is_not_looked_into_again(made: Settings):
    broken(made, Stage.DATASET, BATH)

    with_notes = look(made)
    notes(made).unlink()
    [without] = look(made)

    assert with_notes == []
    assert (without.partition, without.why.startswith("broken evidence: ")) == (BATH, True)


@pytest.mark.parametrize("left", [b"", b'{"bath', b"[1]"])
def test_notes_that_are_lost_or_torn_change_nothing_but_the_work(made: Settings, left: bytes):
    before = notes(made).read_bytes()
    notes(made).write_bytes(left)

    assert look(made) == []
    assert notes(made).read_bytes() == before


def test_a_clock_that_is_stepped_back_makes_nothing_due_twice(made: Settings):
    assert [look(made, at) for at in (LATER - timedelta(hours=1), LATER - timedelta(days=40), LATER)] == [[], [], []]


def test_what_is_declared_otherwise_is_looked_at_again(made: Settings):
    other = HOUSES.model_copy(update={"quarantine": 0.1})

    assert {each.why.partition(",")[0] for each in look(made, product=other)} == {"dataset: stale"}


def test_new_rows_labels_or_traffic_make_only_their_own_windows_due(made: Settings):
    model = make(made, HOUSES, f"bath|{WEEKS[0]}", Stage.MODEL)[Stage.MODEL]
    champion(made, model, 1)
    ids = answered(made, model, 1, sales(2).filter(town="bath").head(3), TUESDAY, "w")
    over(made, LATER, "w", since=TUESDAY)
    step = PredictionsStep(product=HOUSES, archive=Archive(made.home), settings=made)
    step.make("bath|2026-01-13")
    sealed = look(made)
    make(made, HOUSES, BATH)
    done = look(made)
    outcomes(made, {ids[0]: "1"}, TUESDAY + timedelta(days=3))
    step.make("bath|2026-01-13")

    told = look(made)

    assert [each.partition for each in sealed] == [BATH]
    assert done == []
    assert [(each.partition, each.why.partition(",")[0]) for each in told] == [(BATH, "annotations: stale")]


def test_labels_that_take_longer_are_waited_for(made: Settings):
    late = HOUSES.model_copy(update={"label": Label(column="sold", delay=timedelta(days=90))})

    assert look(made, product=late) == []
