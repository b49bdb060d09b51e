"""A prediction is found by its id, in the log or sealed, without reading the others; damage is found too."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.catalogue import DeclarationError
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import BrokenEvidence
from mlops_assets.evidence.store import Store
from mlops_assets.lineage.predictions import lookup, recent, sealed
from mlops_assets.lineage.trace import trace
from mlops_assets.product import DATA, Stage
from mlops_assets.serving.log.ids import Ids, text, to_ms
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, answered, champion, declare, deployment, make, over, sales

NOON = datetime(2026, 1, 13, 12, tzinfo=UTC)
DAY = "2026-01-13"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three weeks of houses, and Bath's first model as champion, which answers."""
    found = deployment(tmp_path, sales(3))
    declare(found, HOUSES)
    return found


def served(settings: Settings, town: str = "bath") -> list[str]:
    model = make(settings, HOUSES, f"{town}|2026-01-05", *DATA, Stage.MODEL)[Stage.MODEL]
    version = 1 if town == "bath" else 2
    champion(settings, model, version)
    return answered(settings, model, version, sales(3).filter(pl.col("town") == town).tail(40), NOON, town)


def seal(settings: Settings, town: str = "bath") -> Held:
    over(settings, NOON + timedelta(days=1), town)
    step = PredictionsStep(product=HOUSES, archive=Archive(settings.home), settings=settings)
    return step.make(f"{town}|{DAY}")


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_prediction_is_found_in_the_log_and_when_it_is_sealed(settings: Settings):
    ids = served(settings)
    archive = Archive(settings.home)
    before = [lookup(settings, archive, each) for each in ids]
    held = seal(settings)

    after = [lookup(settings, archive, each) for each in ids]

    assert [found and found.sealed for found in before] == [None] * 40
    assert {found.sealed.id for found in after if found and found.sealed} == {held.id}
    assert [found and found.row["inference_id"] for found in after] == ids
    assert lookup(settings, archive, text(Ids().new(to_ms(NOON)))) is None
    assert [row["inference_id"] for row in recent(settings, "houses", last=3, since=None)] == ids[:-4:-1]


def test_a_prediction_of_a_segment_that_is_no_longer_declared_is_found(settings: Settings):
    ids = served(settings, "york")
    seal(settings, "york")
    alone = HOUSES.model_copy(update={"segments": ("bath",)})

    assert sealed(Archive(settings.home), alone, ids[0]) is not None


def test_a_sealed_window_is_cut_into_small_groups_by_id_and_only_one_is_read(tmp_path: Path):
    ids = Ids()
    made = pl.DataFrame({"inference_id": [text(ids.new(ms)) for ms in range(40_000)], "output": [0.5] * 40_000})
    store = Store(tmp_path)
    _, file = store.put_table("predictions", made)
    wanted = made["inference_id"][20_000]
    damaged = (tmp_path / file.address).stat().st_size // 20  # in the first group, which is not read

    flip(tmp_path / file.address, damaged)
    found = store.scan(file, lambda rows: rows.filter(pl.col("inference_id") == wanted))

    assert found["inference_id"].to_list() == [wanted]
    with pytest.raises(BrokenEvidence, match="changed"):
        store.get_table(file)


def test_a_flipped_bit_anywhere_in_a_sealed_window_breaks_the_proof_of_its_predictions(settings: Settings):
    [first, *_] = served(settings)
    held = seal(settings)
    path = settings.home / held.file("predictions").address
    right, broken = path.read_bytes(), []

    for at in range(5, len(right), len(right) // 15):
        flip(path, at)
        broken.append(any(str(path) in problem for problem in problems(settings, first)))
        path.write_bytes(right)

    assert all(broken)
    assert not any(str(path) in problem for problem in problems(settings, first))


def problems(settings: Settings, inference_id: str) -> list[str]:
    """What a trace that has no time for tables finds broken; the deployment is, since none was made here."""
    try:
        return trace(settings, inference_id, budget_s=0).walked.broken
    except BrokenEvidence as problem:
        return [str(problem)]


def test_an_id_that_is_not_found_beside_a_changed_window_is_no_unknown_id(settings: Settings):
    served(settings)
    held = seal(settings)
    flip(settings.home / held.file("predictions").address, 30)

    with pytest.raises(BrokenEvidence, match="changed"):
        lookup(settings, Archive(settings.home), text(Ids().new(to_ms(NOON))))


def test_a_declaration_that_is_wrong_by_now_is_named_instead_of_denying_its_predictions(settings: Settings):
    [first, *_] = served(settings)
    (settings.defs / "houses" / "product.py").write_text("product = 1 / 0\n")

    with pytest.raises(DeclarationError, match=r"houses/product\.py"):
        lookup(settings, Archive(settings.home), first)
