"""Features that are logged as a hash, and whole for a sample: compared, profiled and replayed all the same."""

from pathlib import Path

import pytest

from mlops_assets.endpoint import Endpoint, Kept
from mlops_assets.lineage.replay import replay
from mlops_assets.product import Stage
from mlops_assets.serving.log.keeping import features_digest
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, declare, deployment, sales
from mlops_assets_tests.serving.log import kept
from mlops_assets_tests.serving.log.kept import asked, dearer, half_as_dear, houses, judged, model_of, table

ROWS = 80


def product(sample: float, features: str = "hash"):
    log = Kept.model_validate({"features": features, "sample": f"{100 * sample}%"})
    return HOUSES.model_copy(update={"features": f"{kept.__name__}.dearer", "endpoint": Endpoint(log=log)})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = deployment(tmp_path, sales(3))
    declare(found, product(0.3))
    return found


def test_a_sample_is_whole_and_of_the_others_the_hash_is_kept(settings: Settings):
    asked(settings, product(0.3), model_of(settings, product(0.3)), houses(ROWS))

    sealed = table(settings, judged(settings, product(0.3))[Stage.PREDICTIONS])

    made = dearer(houses(ROWS).lazy()).collect()
    assert sealed["features_hash"].to_list() == [features_digest(row).hex() for row in made.iter_rows()]
    whole = sealed["feature.by_room"].is_not_null()
    assert 5 < whole.sum() < 60
    assert sealed["feature.by_room"].filter(whole).to_list() == made["by_room"].filter(whole).to_list()


@pytest.mark.parametrize("sample", [0, 0.3])
def test_hashed_features_are_profiled_and_judged_as_whole_ones_are(settings: Settings, tmp_path: Path, sample: float):
    (tmp_path / "whole").mkdir()
    whole = deployment(tmp_path / "whole", sales(3))
    found = {}
    for where, declared in ((settings, product(sample)), (whole, product(0, "whole"))):
        asked(where, declared, model_of(where, declared), houses(ROWS))
        found[where.home] = judged(where, declared)

    hashed, plain = found.values()
    assert hashed[Stage.PROFILE].record.output("counts").root == plain[Stage.PROFILE].record.output("counts").root
    assert hashed[Stage.DRIFT].record.facts["words"] == plain[Stage.DRIFT].record.facts["words"]
    assert {check.name: check.passed for check in hashed[Stage.PREDICTIONS].record.checks} == {
        "is_complete": True,
        "online_equals_offline": True,
    }


def test_features_that_were_others_are_found_by_their_hash_and_not_made_up(settings: Settings, monkeypatch):
    asked(settings, product(0), model_of(settings, product(0)), houses(ROWS))
    monkeypatch.setattr(kept, "dearer", half_as_dear)

    made = judged(settings, product(0))

    [_, equal] = made[Stage.PREDICTIONS].record.checks
    assert (equal.passed, equal.facts["different"], equal.facts["columns"]) == (False, ROWS, ["features_hash"])


def test_an_answer_is_replayed_and_its_features_compared_by_their_hash(settings: Settings, monkeypatch):
    [first, *_] = asked(settings, product(0), model_of(settings, product(0)), houses(3))

    right = replay(settings, first)
    monkeypatch.setattr(kept, "dearer", half_as_dear)
    wrong = replay(settings, first)

    assert right.differs == []
    assert any("the features have another hash" in each for each in wrong.differs)
