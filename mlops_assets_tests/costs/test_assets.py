"""The costs of a product that was really made: as an asset in the graph, and as the command tells them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.cli import main
from mlops_assets.costs.rollup import by_owner, costs
from mlops_assets.costs.shown import costs_lines
from mlops_assets.evidence.archive import Archive
from mlops_assets.graph import build_definitions
from mlops_assets.loop import Loop
from mlops_assets.product import ModelProduct
from mlops_assets.rules import Spending
from mlops_assets.settings import Settings, exports
from mlops_assets.training.resources import mlflow_resource
from mlops_assets.wiring import Platform
from mlops_assets_tests.houses import HOUSES, deployment, looped, partitions, sales, write

OWNED = HOUSES.model_copy(update={"team": "homes", "project": "lending"})
NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Made:
    settings: Settings
    loop: Loop

    def materialized(self) -> dg.AssetMaterialization:
        event = self.loop.instance.get_latest_materialization_event(dg.AssetKey(["houses", "costs"]))
        assert event is not None
        assert event.asset_materialization is not None
        return event.asset_materialization


def limited(hours: float) -> ModelProduct:
    return OWNED.model_copy(update={"spending": Spending.model_validate({"cpu_hours": hours, "per": "30d"})})


def definitions(product: ModelProduct, settings: Settings) -> dg.Definitions:
    bound = dg.Definitions(resources={"platform": Platform(), "mlflow": mlflow_resource(settings)})
    return dg.Definitions.merge(build_definitions(product, settings), bound)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Two weeks of data, a model of both in Bath and another of its first week, which came too late."""
    settings = deployment(tmp_path_factory.mktemp("costs"))
    with pytest.MonkeyPatch.context() as patch, looped(settings, definitions(limited(1e-6), settings)) as loop:
        for name, value in exports(settings).items():
            patch.setenv(name, value)
        ran = [loop.run("houses_data", partition) for partition in partitions()]
        ran += [loop.run("houses_retrain", partition) for partition in ("bath|2026-01-12", "bath|2026-01-05")]
        ran.append(loop.run("houses_costs", None))
        assert [each.problems for each in ran] == [()] * 7
        yield Made(settings, loop)


def test_models_data_and_the_rest_add_up_to_everything(made: Made):
    found = costs(OWNED, Archive(made.settings.home), NOW + timedelta(hours=1))

    parts = [*(model.cost for model in found.models), found.unlearned, found.watching, found.deploying]
    assert sum(part.records for part in parts) == found.all.records == sum(s.records for s in found.stages.values())
    assert sum(part.cpu_s for part in parts) == pytest.approx(found.all.cpu_s, abs=0.01)
    assert [model.answer for model in found.models] == ["promote", "superseded"]
    assert [model.data.records for model in found.models] == [8, 0]  # source and three stages of two weeks
    assert found.models[1].reused.records == 4
    assert found.unlearned.records == 10  # York, from which nobody has learned, and what the whole source holds
    assert [model.gate.records for model in found.models] == [2, 1]  # decision and deployment; a decision
    assert found.all.cpu_s > 0
    assert found.all.unmeasured == 0


def test_a_version_that_was_never_promoted_is_unused_and_takes_room(made: Made):
    found = costs(OWNED, Archive(made.settings.home), NOW + timedelta(days=31))

    [unused] = found.unused
    assert (unused.version, unused.segment, unused.why) == (2, "bath", "never promoted")
    assert unused.bytes > 1000


def test_only_what_was_made_since_a_moment_counts(made: Made):
    archive = Archive(made.settings.home)
    everything = costs(OWNED, archive, NOW)
    [second] = [model for model in everything.models if model.version == 2]

    later = costs(OWNED, archive, NOW, since=datetime.fromisoformat(second.at))
    never = costs(OWNED, archive, NOW, since=NOW + timedelta(days=1))

    assert [model.version for model in later.models] == [2]
    assert 0 < later.all.records < everything.all.records
    assert (never.all.records, never.models, never.gained) == (0, (), 0.0)


def test_teams_and_projects_pay_for_their_products(made: Made):
    archive = Archive(made.settings.home)
    flats = OWNED.model_copy(update={"name": "flats", "project": None})
    found = [costs(product, archive, NOW) for product in (OWNED, flats)]

    assert by_owner(found, "team") == {"homes": found[0].all}
    assert list(by_owner(found, "project")) == ["lending"]
    assert costs_lines(found)[-2].startswith("team homes: ")


def test_the_asset_shows_tables_a_plot_and_numbers(made: Made):
    shown = made.materialized().metadata

    assert str(shown["costs"].value).startswith("![costs](data:image/svg+xml;base64,")
    assert "| 1 | bath | 2026-01-12 | promote |" in str(shown["by model"].value)
    assert str(shown["by stage"].value).splitlines()[0].startswith("| stage | records | CPU s | GPU s |")
    assert shown["records"].value == costs(OWNED, Archive(made.settings.home), NOW).all.records
    assert isinstance(shown["cpu_s"].value, float)
    assert shown["cpu_hours_of_budget"].value > 0


def test_its_check_warns_when_the_budget_is_exceeded(made: Made):
    [record] = made.loop.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(["houses", "costs"]), "within_budget"), limit=5
    )
    check = record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]

    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["cpu_limit"].value == 1e-6
    assert check.metadata["cpu_hours"].value > 1e-6


@pytest.mark.parametrize(("product", "checks"), [(OWNED, set()), (limited(1000), {"within_budget"})])
def test_without_limits_there_is_no_check(made: Made, product: ModelProduct, checks: set[str]):
    with looped(made.settings, definitions(product, made.settings)) as loop:
        ran = loop.run("houses_costs", None)
        graph = loop.definitions.resolve_asset_graph()

    assert ran.success
    assert {check.name for check in graph.asset_check_keys if check.asset_key.path[1] == "costs"} == checks


def test_its_runs_say_whose_they_are(made: Made):
    tags = [run.tags for run in made.loop.instance.get_runs()]

    assert {(tag["mlops_assets/team"], tag["mlops_assets/project"]) for tag in tags} == {("homes", "lending")}


DECLARATION = """\
type: mlops_assets.ModelProduct
attributes:
  name: houses
  source: {path: houses.csv, time: seen, key: id, segment: town}
  label: {column: sold, delay: 2d}
  segments: [bath, york]
  windows: {every: week, start: 2026-01-05}
  features: [price, rooms, street]
  gate: {metric: auc, floor: 0.6}
  spending: {cpu_hours: 0.000001, per: 30d}
  team: homes
"""


@pytest.fixture
def declared(made: Made, monkeypatch: pytest.MonkeyPatch) -> Settings:
    folder = made.settings.defs / "houses"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "defs.yaml").write_text(DECLARATION)
    for name, value in exports(made.settings).items():
        monkeypatch.setenv(name, value)
    return made.settings


@pytest.mark.usefixtures("declared")
def test_the_command_tells_what_was_spent_on_what(capsys: pytest.CaptureFixture[str]):
    assert main(["costs"]) == 0

    told = capsys.readouterr().out
    assert re.search(r"^houses \(team homes\): \d+ records, [\d.]+ CPU s, 0.0 GPU s, [\d.]+ MB$", told, re.MULTILINE)
    assert re.search(r"^ +1  bath +2026-01-12 +promote ", told, re.MULTILINE)
    assert re.search(r"^  model +2  ", told, re.MULTILINE)
    assert re.search(r"^  budget of 30 days: .* CPU hours; over budget$", told, re.MULTILINE)
    assert re.search(r"^team homes: ", told, re.MULTILINE)


@pytest.mark.usefixtures("declared")
def test_the_command_answers_a_program_too(capsys: pytest.CaptureFixture[str]):
    assert main(["costs", "houses", "--json", "--since", "2999-01-01"]) == 0

    [found] = json.loads(capsys.readouterr().out)
    assert (found["product"], found["all"]["records"], found["since"]) == ("houses", 0, "2999-01-01T00:00:00+00:00")


@pytest.mark.usefixtures("declared")
def test_the_command_names_what_is_wrong(capsys: pytest.CaptureFixture[str]):
    codes = [main(["costs", "flats"]), main(["costs", "--since", "lately"])]

    told = capsys.readouterr().err
    assert codes == [4, 1]
    assert "no product 'flats'; known products: houses" in told
    assert "--since 'lately' is no time; right is ISO 8601, such as 2026-02-01" in told


def test_a_run_of_evidence_that_is_broken_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = deployment(tmp_path)
    for name, value in exports(settings).items():
        monkeypatch.setenv(name, value)
    write(settings, sales(1))
    with looped(settings, definitions(OWNED, settings)) as loop:
        loop.run("houses_data", "bath|2026-01-05")
        record = next(path for path in (settings.home / "records").rglob("*") if path.is_file() and not path.suffix)
        record.write_bytes(b"{}")
        ran = loop.run("houses_costs", None)

    assert ran.problems == (f"costs: {record}: changed; its content does not hash to its name",)
