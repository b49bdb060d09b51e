"""The deployment follows the ledger; a closed window of the log becomes a table, and its files go."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.step import NotReady
from mlops_assets.monitoring.follow import sealable
from mlops_assets.product import DATA, Stage
from mlops_assets.serving.log.frames import pack, read_frames
from mlops_assets.serving.log.seal import WriterFacts
from mlops_assets.serving.routing.deploy import DESIRED, Deployment, read_deployment
from mlops_assets.serving.steps import EndpointStep, PredictionsStep
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, WEEKS, answered, champion, deployment, make, outcomes, over, sales

NOON = datetime(2026, 1, 13, 12, tzinfo=UTC)
DAY, NEXT = "2026-01-13", "2026-01-14"
LATER = NOON + timedelta(days=9)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three weeks of houses; nothing is made of them yet."""
    return deployment(tmp_path, sales(3))


def model(settings: Settings, town: str = "bath", week: str = WEEKS[0]) -> Held:
    return make(settings, HOUSES, f"{town}|{week}", *DATA, Stage.MODEL)[Stage.MODEL]


def deploy(settings: Settings) -> Held:
    return EndpointStep(product=HOUSES, archive=Archive(settings.home), settings=settings).make("all")


def desired(settings: Settings) -> Deployment:
    found = read_deployment(settings.serving("houses"))
    assert found is not None
    return found


def deployments(settings: Settings) -> list[dict[str, object]]:
    return [act.facts for act in Archive(settings.home).ledger.acts("houses", "deploy")]


def test_before_a_champion_there_is_nothing_to_deploy(settings: Settings):
    with pytest.raises(NotReady, match="houses has no champion yet; materialize houses/champion"):
        deploy(settings)


def test_the_deployment_routes_each_segment_to_its_champion_and_is_told_once(settings: Settings):
    champion(settings, model(settings), 1)

    first, second = deploy(settings), deploy(settings)

    assert (first.skipped, second.skipped, first.id) == (False, True, second.id)
    route = desired(settings).routes["bath"]
    assert (desired(settings).id, list(desired(settings).routes)) == (first.id, ["bath"])
    assert Archive(settings.home).store.get_bytes(route.model)
    assert deployments(settings) == [{"bath": 1}]


def test_a_new_champion_is_a_new_deployment_that_names_the_one_before(settings: Settings):
    champion(settings, model(settings), 1)
    first = deploy(settings)
    champion(settings, model(settings, "york"), 2)

    second = deploy(settings)

    assert second.record.state["predecessor"] == first.id
    assert {segment: route.version for segment, route in desired(settings).routes.items()} == {"bath": 1, "york": 2}


def test_a_rollback_is_a_deployment_of_its_own(settings: Settings):
    first = champion(settings, model(settings), 1)
    deploy(settings)
    champion(settings, model(settings, week=WEEKS[1]), 2)
    second = deploy(settings)
    back = msgspec.structs.replace(first, kind="rollback", by="jo")
    Archive(settings.home).ledger.move_champion(back, expected=2)

    third = deploy(settings)

    assert third.record.state["predecessor"] == second.id
    assert deployments(settings) == [{"bath": 1}, {"bath": 2}, {"bath": 1}]
    assert desired(settings).id == third.id


def test_a_lost_deployment_is_written_again(settings: Settings):
    champion(settings, model(settings), 1)
    held = deploy(settings)
    (settings.serving("houses") / DESIRED).unlink()

    deploy(settings)

    assert desired(settings).id == held.id


def predictions(settings: Settings) -> PredictionsStep:
    return PredictionsStep(product=HOUSES, archive=Archive(settings.home), settings=settings)


def live(settings: Settings, town: str = "bath", rows: int = 5, *, version: int = 1, writer: str = "w") -> list[str]:
    """Answer some houses of a town at noon, by its champion."""
    held = model(settings, town)
    if Archive(settings.home).ledger.champion("houses", town) is None:
        champion(settings, held, version)
    return answered(settings, held, version, sales(3).filter(town=town).tail(rows), NOON, writer)


def log(settings: Settings) -> list[str]:
    return sorted(path.name for path in (settings.serving("houses") / "log" / DAY).glob("*.log"))


def test_an_open_window_is_not_sealed(settings: Settings):
    live(settings)
    over(settings, NOON, "w")

    with pytest.raises(NotReady, match=r"houses/predictions\[bath\|2026-01-13\]: the window is still open"):
        predictions(settings).make(f"bath|{DAY}")


def test_a_closed_window_is_sealed_with_inputs_features_and_version(settings: Settings):
    ids = live(settings)
    over(settings, NOON + timedelta(days=1), "w")

    held = predictions(settings).make(f"bath|{DAY}")

    table = Archive(settings.home).table(held, "predictions")
    assert table["inference_id"].to_list() == sorted(ids)
    assert table["version"].unique().to_list() == [1]
    assert table["feature.price"].to_list() == table["input.price"].to_list()
    assert {check.name: check.passed for check in held.record.checks} == {
        "is_complete": True,
        "online_equals_offline": True,
    }
    assert (held.record.facts["rows"], held.record.facts["missing"]) == (5, 0)


def test_files_go_although_a_segment_without_champion_is_never_sealed(settings: Settings):
    live(settings)
    over(settings, NOON + timedelta(days=1), "w")
    todo = [each.partition for each in sealable(HOUSES, settings, LATER)]

    before = log(settings)
    for partition in todo:
        predictions(settings).make(partition)

    assert {partition.partition("|")[0] for partition in todo} == {"bath"}
    assert (before, log(settings)) == (["w.log"], [])


def test_files_stay_until_every_segment_that_was_served_has_them(settings: Settings):
    live(settings)
    live(settings, "york", version=2, writer="v")
    for writer in "vw":
        over(settings, NOON + timedelta(days=1), writer)

    predictions(settings).make(f"bath|{DAY}")
    between = log(settings)
    predictions(settings).make(f"york|{DAY}")

    assert (between, log(settings)) == (["v.log", "w.log"], [])


def test_rows_of_a_segment_that_is_no_longer_declared_are_not_lost(settings: Settings):
    live(settings)
    live(settings, "york", version=2, writer="v")
    for writer in "vw":
        over(settings, NOON + timedelta(days=1), writer)
    alone = HOUSES.model_copy(update={"segments": ("bath",)})

    PredictionsStep(product=alone, archive=Archive(settings.home), settings=settings).make(f"bath|{DAY}")

    assert log(settings) == ["v.log", "w.log"]


def test_sealing_again_is_skipped_until_an_outcome_comes(settings: Settings):
    ids = live(settings)
    over(settings, NOON + timedelta(days=1), "w")
    first, second = (predictions(settings).make(f"bath|{DAY}") for _ in range(2))
    outcomes(settings, {ids[0]: "1"}, NOON + timedelta(days=3))

    third = predictions(settings).make(f"bath|{DAY}")

    archive = Archive(settings.home)
    assert (second.skipped, third.skipped) == (True, False)
    assert third.record.root == first.record.root
    assert archive.table(third, "outcomes").select("inference_id", "label").rows() == [(ids[0], "1")]
    assert archive.table(first, "outcomes").is_empty()
    assert third.record.facts["predecessor"] == first.id


def test_a_file_that_turns_up_late_is_added_to_what_was_sealed(settings: Settings):
    early = live(settings)
    over(settings, NOON + timedelta(days=1), "w")
    first = predictions(settings).make(f"bath|{DAY}")
    late = answered(settings, model(settings), 1, sales(3).filter(town="bath").head(2), NOON, "late")

    second = predictions(settings).make(f"bath|{DAY}")

    archive = Archive(settings.home)
    assert archive.table(second, "predictions")["inference_id"].to_list() == sorted([*early, *late])
    assert archive.table(first, "predictions").height == 5
    assert log(settings) == []


def test_what_a_writer_lost_is_missed_after_its_file_has_gone(settings: Settings):
    live(settings)
    over(settings, NOON + timedelta(days=1), "w")
    [path] = (settings.serving("houses") / "log" / DAY).iterdir()
    first, second, third, *_ = read_frames(path.read_bytes()).frames
    kept = [pack(frame.seq, frame.id, frame.body) for frame in (first, third)]
    assert second.seq == 1
    path.write_bytes(b"".join(kept))
    seal = predictions(settings).make
    found = [seal(f"bath|{DAY}")]

    answered(settings, model(settings), 1, sales(3).filter(town="bath").head(2), NOON, "late")
    found.append(seal(f"bath|{DAY}"))
    answered(settings, model(settings), 1, sales(3).filter(town="bath").head(3), NOON, "later")
    found.append(seal(f"bath|{DAY}"))

    checks = [check for held in found for check in held.record.checks if check.name == "is_complete"]
    assert [(check.passed, check.facts["missing"]) for check in checks] == [(False, 1)] * 3
    assert [held.record.facts["missing"] for held in found] == [1, 1, 1]
    writers = msgspec.convert(checks[-1].facts["writers"], list[WriterFacts])
    told = [(each.writer, each.requests, each.missing) for each in writers]
    assert told == [("w", 2, 1), ("late", 2, 0), ("later", 3, 0)]
    assert log(settings) == []


def test_a_writer_whose_file_is_still_there_is_counted_once(settings: Settings):
    live(settings)
    live(settings, "york", version=2, writer="v")
    for writer in "vw":
        over(settings, NOON + timedelta(days=1), writer)
    path = settings.serving("houses") / "log" / DAY / "w.log"
    frames = read_frames(path.read_bytes()).frames
    path.write_bytes(b"".join(pack(frame.seq, frame.id, frame.body) for frame in frames if frame.seq != 2))
    predictions(settings).make(f"bath|{DAY}")
    with path.open("ab") as file:
        file.write(pack(9, frames[-1].id, frames[-1].body))

    again = predictions(settings).make(f"bath|{DAY}")

    assert again.record.facts["missing"] == 5  # 2, and 5 to 8: of the file as it is now


def test_an_empty_window_is_sealed_without_rows(settings: Settings):
    champion(settings, model(settings), 1)
    over(settings, NOON + timedelta(days=2), "w", since=NOON)

    held = predictions(settings).make(f"bath|{NEXT}")

    assert held.record.outputs[0].rows == 0
    assert all(check.passed for check in held.record.checks)


def test_a_pause_of_the_product_does_not_stop_the_sealing(settings: Settings):
    live(settings)
    over(settings, NOON + timedelta(days=1), "w")
    act = Act(kind="pause", product="houses", by="jo", reason="audit", at="2026-01-14T00:00:00.000+00:00")
    Archive(settings.home).ledger.add(act)

    assert predictions(settings).make(f"bath|{DAY}").record.facts["rows"] == 5
