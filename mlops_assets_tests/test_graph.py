"""The graph of a product: what a newcomer sees of it, what follows from what, and what a run of it tells."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import Place
from mlops_assets.graph import build_definitions
from mlops_assets.loop import Loop, Ran
from mlops_assets.product import DATA, RETRAIN, SEAL, ModelProduct, Stage
from mlops_assets.settings import Settings, exports, load_settings
from mlops_assets.training.resources import mlflow_resource
from mlops_assets.training.tracking import MlflowTracker
from mlops_assets.wiring import Platform
from mlops_assets_tests.houses import HOUSES, deployment, looped, make, partitions, sales, write

GRAPHS: dict[str, dict[str, object]] = {
    "weeks": {},
    "months of Berlin": {"windows": {"every": "month", "start": "2026-01-01", "timezone": "Europe/Berlin"}},
    "hours": {"windows": {"every": "hour", "start": "2026-01-05"}, "monitor": {"every": "hour"}},
    "all at once": {"windows": None, "source": {"path": "houses.csv", "segment": "town"}},
    "no segments": {"segments": ["all"], "source": {"path": "houses.csv", "time": "seen"}},
}


STAGES = [stage for stage in Stage if stage != Stage.SCORES]  # where no table is declared


def houses(**changes: object) -> ModelProduct:
    return ModelProduct.model_validate(HOUSES.model_dump(mode="json") | changes)


def definitions(settings: Settings, *products: ModelProduct, assets: tuple[dg.AssetsDefinition, ...] = ()):
    """What the code location holds: the products' graphs, a user's own assets, and the resources of both."""
    resources = {"platform": Platform(), "mlflow": mlflow_resource(settings)}
    shared = dg.Definitions(assets=assets, resources=resources, executor=dg.in_process_executor)
    return dg.Definitions.merge(*(build_definitions(product, settings) for product in products), shared)


@pytest.fixture(scope="module")
def loans(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    """The shipped product `loans`."""
    settings = load_settings(home=tmp_path_factory.mktemp("home"))
    return definitions(settings, read_catalogue(settings.defs).product("loans"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A folder with the file of houses."""
    return deployment(tmp_path_factory.mktemp("graph"))


def key(stage: str, product: str = "loans") -> dg.AssetKey:
    return dg.AssetKey([product, stage])


def test_every_stage_is_an_asset_between_its_source_and_its_traffic(loans: dg.Definitions):
    graph = loans.resolve_asset_graph()

    assert graph.get_all_asset_keys() == {key(stage) for stage in ("source", "traffic", "decisions", "costs", *STAGES)}
    assert graph.materializable_asset_keys == {key(stage) for stage in ("costs", *STAGES)}


def test_a_declared_table_is_scored_into_the_predictions(place: Settings):
    graph = definitions(place, houses(scores={"path": "new.csv"})).resolve_asset_graph()
    scores, predictions = (graph.get(key(stage, "houses")) for stage in (Stage.SCORES, Stage.PREDICTIONS))

    assert scores.parent_keys == {key("table", "houses")}
    assert scores.key in predictions.parent_keys
    assert scores.partitions_def == predictions.partitions_def
    assert min(len(graph.get(key(name, "houses")).description or "") for name in ("table", Stage.SCORES)) > 20


def test_a_newcomer_finds_group_owner_kind_and_description_on_every_asset_and_check(loans: dg.Definitions):
    graph = loans.resolve_asset_graph()

    for node in graph.asset_nodes:
        assert (node.group_name, node.owners) == ("loans", ["team:credit"])
        assert node.kinds, node.key
        assert len(node.description or "") > 20, node.key
    for check in graph.asset_check_keys:
        assert len(graph.get_check_spec(check).description or "") > 20, check


def test_a_check_is_partitioned_as_its_asset_and_blocks(loans: dg.Definitions):
    graph = loans.resolve_asset_graph()

    for check in graph.asset_check_keys:
        spec = graph.get_check_spec(check)
        assert spec.partitions_def == graph.get(check.asset_key).partitions_def, check
        assert spec.blocking, check
    assert {check.asset_key.path[1] for check in graph.asset_check_keys} == set(STAGES)


def test_stages_to_the_champion_are_by_window_and_those_of_traffic_by_monitoring_window(loans: dg.Definitions):
    graph = loans.resolve_asset_graph()
    weekly = {stage for stage in STAGES if stage in (*DATA, Stage.MODEL, Stage.CHAMPION)}

    for stage in STAGES:
        partitioned = graph.get(key(stage)).partitions_def
        if stage == Stage.ENDPOINT:
            assert partitioned is None
            continue
        keys = partitioned.get_partition_keys(current_time=datetime(2026, 1, 19, tzinfo=UTC))
        assert len(keys) == 2 * (2 if stage in weekly else 14)
        assert keys[0] == "north|2026-01-05"


def test_data_answers_and_monitoring_are_overdue_when_nothing_comes(loans: dg.Definitions):
    graph = loans.resolve_asset_graph()

    watched = {node.key.path[1] for node in graph.asset_nodes if node.freshness_policy}

    assert watched == {"features", "endpoint", "profile"}


def test_the_sensors_and_the_schedules_are_on_and_each_has_its_job(loans: dg.Definitions):
    repository = loans.get_repository_def()
    jobs = {"data": DATA, "seal": SEAL, "retrain": RETRAIN, "deploy": (Stage.ENDPOINT,)}

    for name in ("data", "seal", "retrain"):
        sensor = repository.get_sensor_def(f"loans_{name}")
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
        decided = ["loans_decide"] if name == "retrain" else []  # again, once people have agreed
        assert [target.job_name for target in sensor.targets] == [f"loans_{name}", *decided]
    traffic = repository.get_sensor_def("loans_traffic")
    assert traffic.default_status == dg.DefaultSensorStatus.RUNNING
    assert [target.job_name for target in traffic.targets] == ["loans_deploy"]
    assert {each.job_name: each.default_status for each in repository.schedule_defs} == {
        "loans_deploy": dg.DefaultScheduleStatus.RUNNING,
        "loans_costs": dg.DefaultScheduleStatus.RUNNING,
    }
    for name, stages in jobs.items():
        made = repository.get_job(f"loans_{name}").asset_layer.executable_asset_keys
        assert made == {key(stage) for stage in stages}


@pytest.mark.parametrize(
    ("compute", "pools"),
    [
        ({}, set()),
        ({"gpu": 1}, {"gpu"}),
        ({"segments": {"york": {"gpu": 1}}}, {"gpu"}),
        ({"gpu": 1, "segments": {"york": {"gpu": 0}, "bath": {"gpu": 0}}}, set()),
    ],
)
def test_a_training_waits_for_the_gpu_only_if_one_of_a_segment_needs_one(
    place: Settings, compute: dict[str, object], pools: set[str]
):
    graph = definitions(place, houses(compute=compute)).resolve_asset_graph()

    assert graph.get(key("model", "houses")).pools == pools
    assert graph.get(key("endpoint", "houses")).pools == {"houses_endpoint"}


def parents(defs: dg.Definitions, stage: str, partition: str, parent: str) -> set[str]:
    graph = defs.resolve_asset_graph()
    with partition_loading_context(effective_dt=datetime(2026, 3, 10, tzinfo=UTC)):
        found = graph.get_parents_partitions(key(stage, "houses"), partition)
    assert not found.required_but_nonexistent_parents_partitions
    return {
        p.partition_key for p in found.parent_partitions if p.asset_key == key(parent, "houses") and p.partition_key
    }


def test_a_model_follows_from_the_last_windows_of_its_segment(place: Settings):
    defs = definitions(place, houses(trainer={"windows": 3}))

    assert parents(defs, "model", "bath|2026-01-26", "features") == {
        "bath|2026-01-12",
        "bath|2026-01-19",
        "bath|2026-01-26",
    }
    assert parents(defs, "model", "bath|2026-01-05", "features") == {"bath|2026-01-05"}
    assert parents(defs, "champion", "bath|2026-01-26", "model") == {"bath|2026-01-26"}


def test_rows_of_a_week_follow_from_the_seven_days_of_traffic_in_it(place: Settings):
    defs = definitions(place, HOUSES)

    served = parents(defs, "dataset", "bath|2026-01-12", "predictions")

    assert served == {f"bath|2026-01-{day}" for day in range(12, 19)}
    assert parents(defs, "dataset", "bath|2026-01-12", "annotations") == {"bath|2026-01-12"}
    assert parents(defs, "drift", "bath|2026-01-13", "profile") == {"bath|2026-01-13"}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_graph_of_any_windows_can_be_loaded_and_its_dependencies_resolved(place: Settings, name: str):
    product = houses(**GRAPHS[name])
    defs = definitions(place, product)
    now = datetime(2026, 3, 10, tzinfo=UTC)

    dg.Definitions.validate_loadable(defs)

    graph = defs.resolve_asset_graph()
    with partition_loading_context(effective_dt=now):
        for node in graph.asset_nodes:
            if node.partitions_def is not None:
                newest = node.partitions_def.get_partition_keys(current_time=now)[-1]
                found = graph.get_parents_partitions(node.key, newest)
                assert not found.required_but_nonexistent_parents_partitions, node.key


def test_two_products_stand_beside_each_other(place: Settings):
    defs = definitions(place, HOUSES, houses(name="flats"))

    dg.Definitions.validate_loadable(defs)

    assert {node.group_name for node in defs.resolve_asset_graph().asset_nodes} == {"houses", "flats"}


@dataclass(frozen=True)
class History:
    """What was run once, for the tests to look at: two weeks of data, a model of each town, and one run again."""

    settings: Settings
    loop: Loop
    defs: dg.Definitions
    data: list[Ran]
    retrain: list[Ran]
    again: Ran

    def materializations(self, stage: str, partition: str) -> list[dg.AssetMaterialization]:
        """All materializations of a partition, newest first."""
        wanted = dg.AssetRecordsFilter(asset_key=key(stage, "houses"), asset_partitions=[partition])
        return [
            found.asset_materialization
            for found in self.loop.instance.fetch_materializations(wanted, limit=10).records
            if found.asset_materialization
        ]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """The graph of houses after two weeks."""

    @dg.asset(required_resource_keys={"mlflow"})
    def own_report(context: dg.AssetExecutionContext) -> None:
        """A user's own asset, which logs to MLflow in its own run."""
        context.resources.mlflow.log_metric("sold", 0.5)

    settings = deployment(tmp_path_factory.mktemp("history"))
    defs = definitions(settings, HOUSES, assets=(own_report,))
    with pytest.MonkeyPatch.context() as patch, looped(settings, defs) as loop:
        for name, value in exports(settings).items():
            patch.setenv(name, value)
        data = [loop.run("houses_data", partition) for partition in partitions()]
        retrain = [loop.run("houses_retrain", partition) for partition in partitions()[2:]]
        again = loop.run("houses_data", "bath|2026-01-12")
        yield History(settings, loop, defs, data, retrain, again)


def test_data_model_decision_and_deployment_are_made_in_one_run_each(history: History):
    assert [ran.problems for ran in [*history.data, *history.retrain]] == [()] * 6
    archive = Archive(history.settings.home)
    champions = {town: archive.ledger.champion("houses", town) for town in HOUSES.segments}

    assert [act.version for act in champions.values() if act] == [1, 2]
    deployed = archive.head(Place(product="houses", stage="endpoint", partition="all"))
    assert deployed is not None
    assert deployed.record.facts["versions"] == {"bath": 1, "york": 2}


def test_a_materialization_carries_content_root_record_rows_and_facts(history: History):
    archive = Archive(history.settings.home)
    for stage in (*DATA, Stage.MODEL, Stage.CHAMPION):
        held = archive.head(Place(product="houses", stage=stage, partition="york|2026-01-12"))
        [made] = history.materializations(stage, "york|2026-01-12")

        assert held is not None
        assert made.tags is not None
        assert made.tags["dagster/data_version"] == held.record.root
        assert made.metadata["record"].value == held.id
        assert made.metadata["skipped"].value is False
    [dataset] = history.materializations("dataset", "york|2026-01-12")
    [model] = history.materializations("model", "york|2026-01-12")
    assert dataset.metadata["dagster/row_count"].value == dataset.metadata["labelled"].value == 70
    assert model.metadata["version"].value == "houses@2"
    assert model.metadata["rows"].value == 140


def test_a_run_again_says_that_it_skipped_and_what_follows_still_ran(history: History):
    assert history.again.success
    for stage in DATA:
        again, first = history.materializations(stage, "bath|2026-01-12")

        assert (first.metadata["skipped"].value, again.metadata["skipped"].value) == (False, True)
        assert again.metadata["record"] == first.metadata["record"]
        assert (again.tags or {})["dagster/data_version"] == (first.tags or {})["dagster/data_version"]


def test_every_check_has_a_result_for_every_partition_that_ran(history: History):
    graph, storage = history.defs.resolve_asset_graph(), history.loop.instance.event_log_storage
    made: dict[Stage, set[str | None]] = {stage: set(partitions()) for stage in DATA}
    made |= {stage: set(partitions()[2:]) for stage in (Stage.MODEL, Stage.CHAMPION)}
    made[Stage.ENDPOINT] = {None}

    for check in graph.asset_check_keys:
        told = storage.get_asset_check_partition_info([check])
        assert {info.partition_key for info in told} == made.get(Stage(check.asset_key.path[1]), set()), check


def test_a_decision_is_told_with_its_reason(history: History):
    [decided] = history.materializations("champion", "bath|2026-01-12")

    assert decided.metadata["answer"].value == "promote"
    assert "reaches the floor 0.6, and there is no champion yet" in str(decided.metadata["reasons"].value)


def test_mlflow_and_the_record_name_each_other_and_the_aliases_say_what_the_ledger_says(history: History):
    tracker = MlflowTracker(history.settings.mlflow_uri)
    [model] = history.materializations("model", "york|2026-01-12")

    run = tracker.client.get_run(str(model.metadata["mlflow_run_id"].value))

    assert run.info.status == "FINISHED"
    assert model.metadata["record"].value in run.data.tags.values()
    assert (tracker.champion("houses", "bath"), tracker.champion("houses", "york")) == (1, 2)


def test_a_users_own_asset_logs_to_mlflow_beside_ours(history: History):
    result = history.defs.resolve_implicit_global_asset_job_def().execute_in_process(
        asset_selection=[dg.AssetKey("own_report")], instance=history.loop.instance
    )

    tracker = MlflowTracker(history.settings.mlflow_uri)
    [run] = tracker.client.search_runs([tracker.experiment("mlops_assets")])
    assert result.success
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"sold": 0.5})


def test_one_asset_of_one_partition_can_be_made_alone(history: History):
    job = history.defs.resolve_implicit_global_asset_job_def()

    result = job.execute_in_process(
        asset_selection=[key("features", "houses")], partition_key="york|2026-01-05", instance=history.loop.instance
    )

    assert [event.asset_key.path[1] for event in result.get_asset_materialization_events() if event.asset_key] == [
        "features"
    ]


def test_the_data_sensor_asks_for_what_is_new_and_for_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = deployment(tmp_path)
    for name, value in exports(settings).items():
        monkeypatch.setenv(name, value)

    with looped(settings, definitions(settings, HOUSES)) as loop:
        first, second = loop.tick("houses_data"), loop.tick("houses_data")
        late = sales().filter(pl.col("id").str.starts_with("bath-0112")).head(1).with_columns(id=pl.lit("bath-late"))
        write(settings, pl.concat([sales(), late]))
        third = loop.tick("houses_data")
        write(settings, sales())
        restored = loop.tick("houses_data")
        others = [loop.tick(f"houses_{name}") for name in ("seal", "retrain")]

    assert [ran.partition for ran in first] == partitions()
    assert all(ran.success for ran in (*first, *third, *restored))
    assert second == []
    assert [[ran.partition for ran in asked] for asked in (third, restored)] == [["bath|2026-01-12"]] * 2
    assert third[0].tags["mlops_assets/reason"].startswith("annotations: stale")
    assert others == [[], []]  # without a champion there is neither traffic nor a reason to retrain


def test_a_step_whose_input_failed_its_check_in_another_run_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = deployment(tmp_path)
    for name, value in exports(settings).items():
        monkeypatch.setenv(name, value)
    partition = "bath|2026-01-05"
    make(settings, HOUSES, partition)
    write(settings, sales().with_columns(price=pl.col("price").cast(str).replace(str(sales()["price"][0]), "many")))
    defs = definitions(settings, HOUSES)

    with looped(settings, defs) as loop:
        failed = loop.run("houses_data", partition)
        job = defs.resolve_implicit_global_asset_job_def()
        alone = job.execute_in_process(
            asset_selection=[key("features", "houses")],
            partition_key=partition,
            instance=loop.instance,
            raise_on_error=False,
        )

    assert not failed.success
    [failure] = [event for event in alone.all_events if event.is_step_failure]
    assert "houses/dataset[bath|2026-01-05] failed its check: schema" in str(failure.event_specific_data)
