"""Who answers for a segment, and what is loaded again."""

import json
from dataclasses import replace
from typing import get_args

import msgspec
import pytest

from mlops_assets.evidence.records import BrokenEvidence
from mlops_assets.evidence.store import Store
from mlops_assets.serving.description import metadata
from mlops_assets.serving.requests.answers import Scored, answer
from mlops_assets.serving.requests.forms import Form
from mlops_assets.serving.requests.forms import Kind as FormKind
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.serving.routing.deploy import Deployment
from mlops_assets.serving.routing.probes import probes
from mlops_assets.serving.routing.router import Loader, empty_table
from mlops_assets.training.model import ColumnSpec
from mlops_assets_tests.serving.loans import LOANS, fitted, route


def asked(kind: FormKind) -> Form:
    """A request of this form."""
    return Form(kind, b"", None, [], None)


@pytest.fixture
def loader(settings):
    return Loader(LOANS, Store(settings.home))


def deployment(routes, **changes):
    return msgspec.structs.replace(Deployment(id="d1", product="loans", at="", routes=routes), **changes)


def test_a_segment_goes_to_its_champion(settings, loader, first, second):
    table = loader.table(deployment({"eu": route(settings, first, 1), "us": route(settings, second, 2)}))

    assert [table.lane(segment).champion.version for segment in ("eu", "us")] == [1, 2]


def test_an_unknown_segment_goes_to_the_fallback_or_is_told_the_known_ones(settings, loader, first):
    routes = {"eu": route(settings, first, 1)}

    assert loader.table(deployment(routes, fallback="eu")).lane("asia").champion.segment == "eu"
    with pytest.raises(Refused, match="no segment 'asia'; known segments: eu, us") as refused:
        loader.table(deployment(routes)).lane("asia")
    assert refused.value.status == 422


@pytest.mark.parametrize(("segment", "fallback"), [("us", None), ("us", "eu"), ("asia", "us")])
def test_a_segment_without_a_champion_is_a_503(settings, loader, first, segment, fallback):
    table = loader.table(deployment({"eu": route(settings, first, 1)}, fallback=fallback))

    with pytest.raises(Refused, match="segment 'us' has no champion yet") as refused:
        table.lane(segment)

    assert refused.value.status == 503


def test_the_empty_table_knows_the_declared_segments():
    assert list(empty_table(LOANS).segments) == ["eu", "us"]


def test_the_way_back_loads_nothing(settings, loader, first, second):
    one, two = route(settings, first, 1), route(settings, second, 2)
    before = loader.table(deployment({"eu": one})).lane("eu").champion.model
    loader.table(deployment({"eu": two}))
    (settings.home / one.model.address).unlink()

    back = loader.table(deployment({"eu": one}))

    assert back.lane("eu").champion.model is before


def test_a_model_that_neither_of_the_last_two_tables_has_is_let_go(settings, loader, first, second):
    one, two = route(settings, first, 1), route(settings, second, 2)
    for each in (one, two, two):
        loader.table(deployment({"eu": each}))
    (settings.home / one.model.address).unlink()

    with pytest.raises(BrokenEvidence, match="missing"):
        loader.table(deployment({"eu": one}))


def test_the_deployment_of_another_product_is_refused(loader):
    with pytest.raises(ValueError, match="a deployment of 'cats'; right is one of 'loans'"):
        loader.table(deployment({}, product="cats"))


def test_probes_stay_within_what_a_column_may_hold(first):
    rows = probes(first.spec)

    assert {job for _, _, job in rows} == {"clerk", "nurse", "smith"}
    assert all(18 <= age <= 99 for age, _, _ in rows)
    assert None in {salary for _, salary, _ in rows}


def test_a_features_function_is_not_probed_with_invented_text(first):
    inputs = {**first.spec.inputs, "note": ColumnSpec(type="str")}

    assert probes(msgspec.structs.replace(first.spec, inputs=inputs, transform="a.b")) == []


def test_a_multiclass_answer_names_the_class_and_all_probabilities(settings, loader):
    model = fitted(4, task="multiclass")
    by = loader.table(deployment({"eu": route(settings, model, 1)})).lane("eu").champion
    scored = Scored("id", by, by.model.predictor.one((40, 4000.0, "clerk")))

    plain = json.loads(answer("loans", asked("row"), "id", [scored]).body)
    oip = json.loads(answer("loans", asked("oip"), "id", [scored, scored]).body)

    assert plain["output"] == "clerk1"
    assert set(plain["probabilities"]) == {f"{job}{good}" for job in ("clerk", "nurse", "smith") for good in (0, 1)}
    assert sum(plain["probabilities"].values()) == pytest.approx(1)
    assert [(out["datatype"], out["shape"]) for out in oip["outputs"]] == [("BYTES", [2]), ("FP64", [2, 6])]


@pytest.mark.parametrize(("threshold", "acted"), [(0.999, False), (0.001, True)])
def test_a_model_with_a_threshold_says_in_every_form_whether_a_row_is_acted_on(settings, loader, threshold, acted):
    trained = fitted(1)
    model = replace(trained, spec=msgspec.structs.replace(trained.spec, threshold=threshold))
    table = loader.table(deployment({"eu": route(settings, model, 1)}))
    by = table.lane("eu").champion
    scored = Scored("id", by, by.model.predictor.one((40, 2500.0, "clerk")))

    told = {kind: json.loads(answer("loans", asked(kind), "id", [scored]).body) for kind in get_args(FormKind)}

    assert told["row"]["decision"] is acted
    assert [row["decision"] for row in told["rows"]["predictions"]] == [acted]
    assert told["mlflow"]["decisions"] == [acted]
    assert told["oip"]["outputs"][1] == {"name": "decision", "datatype": "BOOL", "shape": [1], "data": [acted]}
    assert [output.name for output in metadata.model(LOANS, table).outputs] == ["output", "decision"]


def test_a_model_without_a_threshold_decides_nothing(settings, loader, first):
    table = loader.table(deployment({"eu": route(settings, first, 1)}))
    by = table.lane("eu").champion
    scored = Scored("id", by, by.model.predictor.one((40, 2500.0, "clerk")))

    told = "".join(answer("loans", asked(kind), "id", [scored]).body.decode() for kind in get_args(FormKind))

    assert "decision" not in told
    assert [output.name for output in metadata.model(LOANS, table).outputs] == ["output"]
