"""Which windows are due to be sealed: none is lost, none twice, and what is done costs nothing."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Place
from mlops_assets.evidence.step import Due
from mlops_assets.monitoring.follow import sealable
from mlops_assets.monitoring.performance_step import PerformanceStep
from mlops_assets.monitoring.steps import DriftStep, ProfileStep
from mlops_assets.product import DATA, Stage
from mlops_assets.serving.log.ids import Ids, text, to_ms
from mlops_assets.serving.log.writer import LogWriter
from mlops_assets.serving.steps import PredictionsStep
from mlops_assets.serving.workers import Registration, Worker
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, WEEKS, answered, champion, deployment, make, outcomes, over, sales

NOON = datetime(2026, 1, 13, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
FIRST, SECOND, THIRD = (f"bath|2026-01-{day}" for day in (13, 14, 15))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Houses of which nothing is made; bath has a champion in name only."""
    found = deployment(tmp_path, sales(2))
    act = Act(kind="promote", product="houses", segment="bath", version=1, record="-", by="gate", reason="-", at="-")
    Archive(found.home).ledger.add(act)
    return found


@pytest.fixture
def judged(tmp_path: Path) -> tuple[Settings, list[str]]:
    """Three days of traffic of bath's champion, sealed and judged, and the ids of the first day's predictions."""
    found = deployment(tmp_path, sales(2))
    model = make(found, HOUSES, f"bath|{WEEKS[0]}", *DATA, Stage.MODEL)[Stage.MODEL]
    champion(found, model, 1)
    rows = sales(2).filter(town="bath").head(3)
    given = [answered(found, model, 1, rows, NOON + day * DAY, "w") for day in range(3)]
    over(found, NOON + 3 * DAY, "w", since=NOON)
    for each in due(found):
        seal(found, each.partition)
    assert due(found) == []
    return found, given[0]


def due(settings: Settings, now: datetime = NOON + 30 * DAY) -> list[Due]:
    return list(sealable(HOUSES, settings, now))


def seal(settings: Settings, partition: str) -> Held:
    """Seal, profile and judge a window, and return the record of its predictions."""
    archive = Archive(settings.home)
    kinds = (PredictionsStep, ProfileStep, DriftStep, PerformanceStep)
    held, *_ = [kind(product=HOUSES, archive=archive, settings=settings).make(partition) for kind in kinds]
    return held


def partitions(found: list[Due]) -> list[str]:
    return [each.partition for each in found]


def notes(settings: Settings) -> Path:
    return settings.home / "sensors" / "houses_seal.json"


def head(settings: Settings, stage: Stage, partition: str) -> Path:
    return settings.home / "heads" / "houses" / stage / partition


def broken(settings: Settings, partition: str) -> None:
    """Lose the record of a sealed window: whoever looks into it says so."""
    held = Archive(settings.home).head(Place(product="houses", stage=Stage.PREDICTIONS, partition=partition))
    assert held is not None
    (settings.home / "records" / held.id[:2] / held.id).unlink()


def test_two_hundred_windows_that_close_at_once_are_all_due_the_oldest_first(settings: Settings):
    over(settings, NOON + 200 * DAY, "w", since=NOON)

    found = due(settings)

    assert partitions(found) == [f"bath|{NOON + day * DAY:%Y-%m-%d}" for day in range(200)]
    assert {each.why for each in found} == {"closed window"}
    assert due(settings) == found


def test_those_that_are_busy_are_left_out_and_those_that_nobody_took_are_due_again(settings: Settings):
    over(settings, NOON + 3 * DAY, "w", since=NOON)

    taken = next(iter(sealable(HOUSES, settings, NOON + 30 * DAY)))
    others = list(sealable(HOUSES, settings, NOON + 30 * DAY, {FIRST}))

    assert taken.partition == FIRST
    assert partitions(others) == [SECOND, THIRD]
    assert partitions(due(settings)) == [FIRST, SECOND, THIRD]


def test_what_is_done_is_not_looked_into_again(judged: tuple[Settings, list[str]]):
    settings, _ = judged
    broken(settings, SECOND)

    with_notes = due(settings)
    notes(settings).unlink()
    [without] = due(settings)

    assert with_notes == []
    assert (without.partition, "missing is the record" in without.why) == (SECOND, True)


def test_a_broken_record_holds_up_no_other_window(judged: tuple[Settings, list[str]]):
    settings, _ = judged
    notes(settings).unlink()
    broken(settings, FIRST)
    over(settings, NOON + 4 * DAY, "w", since=NOON)

    found = due(settings)

    assert partitions(found) == ["bath|2026-01-16", FIRST]
    assert found[1].why.startswith("broken evidence: ")


@pytest.mark.parametrize("left", [b"", b'{"bath|2026-01-13": "', b'{"bath|2026-01-13": "of another time"}', b"[1]"])
def test_notes_that_are_lost_torn_or_old_change_nothing_but_the_work(judged: tuple[Settings, list[str]], left: bytes):
    settings, _ = judged
    before = notes(settings).read_bytes()
    notes(settings).write_bytes(left)

    assert due(settings) == []
    assert notes(settings).read_bytes() == before


def test_only_the_window_with_new_outcomes_is_due(judged: tuple[Settings, list[str]]):
    settings, ids = judged
    outcomes(settings, {ids[0]: "1"}, NOON + 4 * DAY)

    [found] = due(settings)
    seal(settings, found.partition)

    assert (found.partition, found.why) == (FIRST, "new outcomes")
    assert due(settings) == []


def test_a_log_file_that_comes_late_makes_its_window_due(judged: tuple[Settings, list[str]]):
    settings, _ = judged
    model = Archive(settings.home).head(Place(product="houses", stage=Stage.MODEL, partition=f"bath|{WEEKS[0]}"))
    assert model is not None
    late = answered(settings, model, 1, sales(2).filter(town="bath").tail(2), NOON, "late")

    [found] = due(settings)
    held = seal(settings, found.partition)

    assert (found.partition, found.why) == (FIRST, "a log file that came late")
    assert set(late) < set(Archive(settings.home).table(held, "predictions")["inference_id"])
    assert due(settings) == []


@pytest.mark.parametrize("stage", [Stage.DRIFT, Stage.PERFORMANCE])
def test_a_window_whose_run_was_killed_before_its_verdict_is_finished(judged: tuple[Settings, list[str]], stage: Stage):
    settings, _ = judged
    head(settings, stage, SECOND).unlink()

    found = due(settings)

    assert [(each.partition, each.why) for each in found] == [(SECOND, "sealed, but not judged")]


def test_a_window_whose_sealed_record_is_gone_is_sealed_again(judged: tuple[Settings, list[str]]):
    settings, _ = judged
    head(settings, Stage.PREDICTIONS, SECOND).unlink()

    assert partitions(due(settings)) == [SECOND]


def test_what_was_never_sealed_comes_first_and_then_what_was_sealed_longest_ago(judged: tuple[Settings, list[str]]):
    settings, _ = judged
    for partition, at in ((FIRST, 30), (SECOND, 20), (THIRD, 10)):
        head(settings, Stage.DRIFT, partition).unlink()
        os.utime(head(settings, Stage.PREDICTIONS, partition), (at, at))
    over(settings, NOON + 4 * DAY, "w", since=NOON)

    assert partitions(due(settings)) == ["bath|2026-01-16", THIRD, SECOND, FIRST]


def test_a_file_that_is_dropped_during_the_look_stops_nothing(judged: tuple[Settings, list[str]]):
    settings, _ = judged
    log = settings.serving("houses") / "log" / "2026-01-14"
    (log / "gone.log").symlink_to(log / "nowhere")  # listed, and not there when it is opened
    notes(settings).unlink()

    assert due(settings) == []


@pytest.fixture
def server(settings: Settings) -> Callable[[str, datetime], None]:
    """Let a worker that stamps with the server's clock beat at a moment, with all before it closed."""

    def beat(writer: str, at: datetime) -> None:
        worker = Worker(writer=writer, pid=1, url="", clock="server", started=at, since=NOON)
        Registration(settings.serving("houses"), worker).beat(at)
        os.utime(settings.serving("houses") / "workers" / f"{writer}.json", (at.timestamp(), at.timestamp()))

    return beat


def test_a_clock_that_is_stepped_back_loses_no_window_and_seals_none_too_early(
    settings: Settings, server: Callable[[str, datetime], None]
):
    midnight = datetime(2026, 1, 14, tzinfo=UTC)
    ticks: list[list[Due]] = []

    for now in (midnight + HOUR / 2, midnight - HOUR / 2, midnight - HOUR / 4, midnight + HOUR / 4):
        server("w", now)
        ticks.append(due(settings, now))

    first, back, still_back, again = ticks
    assert partitions(first) == [FIRST]
    assert (back, still_back) == ([], [])  # it is open again, for whoever starts now
    assert again == first  # under the same version, so under the same run key


def test_what_a_worker_logs_after_the_clock_was_stepped_back_is_sealed_too(
    judged: tuple[Settings, list[str]],
):
    settings, before = judged
    model = Archive(settings.home).head(Place(product="houses", stage=Stage.MODEL, partition=f"bath|{WEEKS[0]}"))
    assert model is not None
    after = answered(settings, model, 1, sales(2).filter(town="bath").head(1), NOON - HOUR, "restarted")

    [found] = due(settings)
    held = seal(settings, found.partition)

    assert found.partition == FIRST
    assert Archive(settings.home).table(held, "predictions")["inference_id"].to_list() == sorted([*before, *after])


def test_a_worker_goes_on_with_ids_that_ascend_when_its_clock_is_stepped_back(settings: Settings):
    log, ids = LogWriter(settings.serving("houses") / "log", HOUSES.grid, "w"), Ids()
    midnight = to_ms(NOON + DAY / 2)

    given = [ids.new(midnight + ms) for ms in (-1, 0, 1, -3_600_000, 2)]

    assert given == sorted(given)
    assert [text(id_) for id_ in given] == sorted(map(text, given))
    log.close()
