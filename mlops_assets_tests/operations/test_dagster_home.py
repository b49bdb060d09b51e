"""Dagster's folder holds the shipped configuration, unless somebody put another one there."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import dagster as dg

from mlops_assets.loop import dagster_home, opening
from mlops_assets.settings import PACKAGE, Settings

SHIPPED = PACKAGE.parent / "dagster.yaml"


def runs_in(home: Path) -> int:
    with opening(home):
        opened = dg.DagsterInstance.from_config(str(home))
    with opened as instance:
        return instance.get_runs_count()


def test_processes_that_open_a_new_home_at_once_do_not_ruin_it(settings: Settings):
    home = dagster_home(settings)

    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        counts = list(pool.map(runs_in, [home] * 3))

    assert [*counts, runs_in(home)] == [0, 0, 0, 0]


def test_the_shipped_configuration_is_copied(settings: Settings):
    folder = dagster_home(settings)

    assert (folder / "dagster.yaml").read_bytes() == SHIPPED.read_bytes()


def test_a_configuration_that_was_there_stays(settings: Settings):
    settings.dagster_home.mkdir(parents=True)
    mounted = settings.dagster_home / "dagster.yaml"
    mounted.write_text("telemetry: {enabled: false}\n")

    dagster_home(settings)

    assert mounted.read_text() == "telemetry: {enabled: false}\n"


def test_a_copy_that_was_edited_stays_and_one_that_was_not_follows_the_shipped_one(settings: Settings, monkeypatch):
    copy = dagster_home(settings) / "dagster.yaml"
    newer = settings.home / "package"
    newer.mkdir()
    (settings.home / "dagster.yaml").write_text("nux: {enabled: false}\n")
    monkeypatch.setattr("mlops_assets.loop.PACKAGE", newer)

    dagster_home(settings)
    followed = copy.read_text()
    copy.write_text("nux: {enabled: true}\n")
    dagster_home(settings)

    assert followed == "nux: {enabled: false}\n"
    assert copy.read_text() == "nux: {enabled: true}\n"
