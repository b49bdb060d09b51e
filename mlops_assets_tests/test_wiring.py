"""A step as an asset: what it tells the graph when it is made, skipped, weak, failed or not ready."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import dagster as dg
import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.records import Check, Recipe
from mlops_assets.evidence.step import NotReady, Prepared, Step
from mlops_assets.product import Stage
from mlops_assets.settings import Settings, exports
from mlops_assets.windows import Grid
from mlops_assets.wiring import Look, Platform, Told, overdue_after, step_asset
from mlops_assets_tests.houses import HOUSES, deployment

FACTS = {"words": "all well", "rows_seen": 2, "share": 0.5, "fine": True, "kinds": ["a", "b"], "nothing": None}
DAYS = dg.StaticPartitionsDefinition(["monday", "tuesday"])
CHECKS = {"good": "It is good.", "weak": "It is strong.", "ready": "What it needs is there."}


@dataclass(frozen=True, kw_only=True)
class Made(Step):
    """Two rows. On Tuesday a blocking check fails; on any other day but Monday it is not ready."""

    @property
    def stage(self) -> Stage:
        return Stage.DATASET

    def prepare(self, partition: str) -> Prepared:
        if partition not in ("monday", "tuesday", "all"):
            raise NotReady(f"nothing was delivered on {partition}", check="ready")
        good = Check(name="good", passed=partition != "tuesday", facts={"failing_rows": 3})
        weak = Check(name="weak", passed=False, severity="warn", blocking=False)
        built = Built(outputs={"rows": pl.DataFrame({"x": [1, 2]})}, checks=(good, weak), facts=FACTS)
        return Prepared(recipe=Recipe(place=self.place(partition), code="test"), inputs=[], build=lambda: built)


def told(context: dg.AssetExecutionContext, step: Step, held: Held) -> Told:
    return Told(metadata={"shown": dg.MetadataValue.text(held.id[:8])}, checks=[Check(name="ready", passed=True)])


def asset(partitions: dg.PartitionsDefinition | None = DAYS) -> dg.AssetsDefinition:
    look = Look(description="Two rows.", kinds=frozenset({"polars"}), fresh_for=timedelta(days=1))
    return step_asset(Made, HOUSES, Stage.DATASET, look, deps=[], checks=CHECKS, partitions=partitions, then=told)


@dg.asset(deps=[dg.AssetKey(["houses", "dataset"])], partitions_def=DAYS)
def after() -> None:
    """What follows."""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    found = deployment(tmp_path)
    for name, value in exports(found).items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(
    instance: dg.DagsterInstance, day: str | None = "monday", *, made: dg.AssetsDefinition | None = None
) -> dg.ExecuteInProcessResult:
    assets = [made] if made else [asset(), after]
    resources = {"platform": Platform()}
    return dg.materialize(assets, partition_key=day, instance=instance, resources=resources, raise_on_error=False)


def materialization(result: dg.ExecuteInProcessResult) -> dg.AssetMaterialization:
    return result.asset_materializations_for_node("houses__dataset")[0]


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def test_a_made_step_tells_its_root_record_rows_facts_and_what_its_act_adds(
    settings: Settings, instance: dg.DagsterInstance
):
    result = run(instance)

    held = Archive(settings.home).held(str(materialization(result).metadata["record"].value))
    made = materialization(result)
    assert result.success
    assert (made.partition, (made.tags or {})["dagster/data_version"]) == ("monday", held.record.root)
    assert (made.tags or {})["mlops_assets/record"] == held.id[:32]
    assert {name: made.metadata[name].value for name in (*FACTS, "shown") if name != "nothing"} == {
        **{name: value for name, value in FACTS.items() if value is not None},
        "shown": held.id[:8],
    }
    assert made.metadata["dagster/row_count"].value == 2
    assert "nothing" not in made.metadata
    assert held.envelope.run_id == result.run_id


@pytest.mark.usefixtures("settings")
def test_a_skipped_step_says_so_and_what_follows_still_runs(instance: dg.DagsterInstance):
    first, second = run(instance), run(instance)

    assert [materialization(result).metadata["skipped"].value for result in (first, second)] == [False, True]
    assert second.success
    assert second.asset_materializations_for_node("after")
    assert checks(second).keys() == CHECKS.keys()


def test_a_materialization_says_what_it_took_and_a_skipped_one_took_nothing(
    settings: Settings, instance: dg.DagsterInstance
):
    first, second = (materialization(run(instance)).metadata for _ in range(2))

    held = Archive(settings.home).held(str(first["record"].value))
    assert held.envelope.cost is not None
    assert [first[name].value for name in ("cpu_s", "gpu_s", "bytes")] == [
        held.envelope.cost.cpu_s,
        0.0,
        held.envelope.cost.bytes_written,
    ]
    assert first["bytes"].value == held.envelope.files[0].size
    assert [second[name].value for name in ("cpu_s", "gpu_s", "bytes")] == [0.0, 0.0, 0]


@pytest.mark.usefixtures("settings")
def test_a_weak_check_warns_and_a_failed_one_stops_what_follows(instance: dg.DagsterInstance):
    weak, failed = run(instance), run(instance, "tuesday")

    warned, blocked = checks(weak)["weak"], checks(failed)["good"]
    assert (warned.passed, warned.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (blocked.passed, blocked.severity, blocked.partition) == (False, dg.AssetCheckSeverity.ERROR, "tuesday")
    assert blocked.metadata["failing_rows"].value == 3
    assert (weak.success, failed.success) == (True, False)
    assert not failed.asset_materializations_for_node("after")
    assert materialization(failed).partition == "tuesday"


@pytest.mark.usefixtures("settings")
def test_a_step_that_is_not_ready_fails_its_check_and_makes_nothing(instance: dg.DagsterInstance):
    days = dg.StaticPartitionsDefinition(["sunday"])

    result = run(instance, "sunday", made=asset(days))

    [check] = checks(result).values()
    assert (check.check_name, check.passed) == ("ready", False)
    assert check.metadata["problem"].value == "nothing was delivered on sunday"
    assert not result.asset_materializations_for_node("houses__dataset")
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert "nothing was delivered on sunday" in str(failure.event_specific_data)


def test_a_changed_file_of_the_evidence_is_named(settings: Settings, instance: dg.DagsterInstance):
    run(instance)
    [record] = [path for path in (settings.home / "records").rglob("*") if path.is_file() and not path.suffix]
    record.write_bytes(record.read_bytes() + b" ")

    result = run(instance)

    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert f"{record}: changed; its content does not hash to its name" in str(failure.event_specific_data)


@pytest.mark.usefixtures("settings")
def test_an_asset_without_partitions_is_made_in_a_run_that_has_one(instance: dg.DagsterInstance):
    @dg.asset(partitions_def=DAYS)
    def before() -> None: ...

    result = dg.materialize(
        [before, asset(None)], partition_key="monday", instance=instance, resources={"platform": Platform()}
    )

    assert materialization(result).partition is None
    assert result.success


@pytest.mark.usefixtures("settings")
def test_of_two_runs_of_a_partition_at_once_one_makes_it_and_the_other_finds_it_made(monkeypatch: pytest.MonkeyPatch):
    both, builds, prepare = Barrier(2), list[str](), Made.prepare

    def slowly(step: Made, partition: str) -> Prepared:
        prepared = prepare(step, partition)

        def build() -> Built:
            builds.append(partition)
            with suppress(BrokenBarrierError):
                both.wait(1)  # for the other run, which may not come so far
            return prepared.build()

        return replace(prepared, build=build)

    def once(_: int) -> bool:
        with dg.DagsterInstance.ephemeral() as own:
            result = run(own)
            return bool(result.success and materialization(result).metadata["skipped"].value)

    monkeypatch.setattr(Made, "prepare", slowly)
    with ThreadPoolExecutor(2) as pool:
        skipped = list(pool.map(once, range(2)))

    assert builds == ["monday"]
    assert sorted(skipped) == [False, True]


@pytest.mark.parametrize(
    ("grid", "delay", "expected"),
    [
        (Grid(every="week", start=datetime(2026, 1, 5)), timedelta(days=2), timedelta(days=16)),
        (Grid(every="month", start=datetime(2026, 1, 1)), timedelta(0), timedelta(days=62)),
        (Grid(every="day", start=datetime(2026, 1, 5), end=datetime(2026, 2, 1)), timedelta(0), None),
        (None, timedelta(0), None),
    ],
)
def test_what_never_ends_is_overdue_after_two_windows(grid: Grid | None, delay: timedelta, expected: timedelta | None):
    assert overdue_after(grid, delay) == expected
