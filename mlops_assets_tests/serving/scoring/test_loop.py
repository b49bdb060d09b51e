"""A product that never serves HTTP: its table is scored, sealed and judged by itself, and a kill loses nothing."""

import os
import signal
import subprocess
import sys

import polars as pl
import pytest

from mlops_assets.cli import main
from mlops_assets.lineage.replay import replay
from mlops_assets.lineage.trace import trace
from mlops_assets.settings import environment
from mlops_assets_tests.intact import assert_intact
from mlops_assets_tests.serving.scoring.batch import (
    FIRST,
    FORM,
    SECOND,
    day,
    facts,
    foreground_of,
    predictions,
    write,
)
from mlops_assets_tests.tiny import Tiny

KILLED = """
import os, signal, sys
from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.serving import steps
from mlops_assets.serving.scoring import step
from mlops_assets.serving.scoring.answering import Scorer
from mlops_assets.settings import load_settings
from mlops_assets_tests.serving.scoring.batch import score, seal
from mlops_assets_tests.tiny import Tiny

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

settings = load_settings()
tiny = Tiny(settings=settings, product=read_catalogue(settings.defs).product("tiny"))
step.read_table(Archive(settings.home), tiny.product, settings)
places = {"scoring": (Scorer, "answers"), "scored": (Archive, "_point"), "sealed": (steps, "drop_files")}
setattr(*places[sys.argv[1]], die)
score(tiny)
seal(tiny)
"""


def test_two_windows_are_scored_sealed_and_judged_and_a_row_is_proven(tiny: Tiny):
    wide = day(5).with_columns(width=pl.col("width") + 0.8)
    write(tiny, pl.concat([day(4), wide]))
    loop = foreground_of(tiny)

    ran = loop.settle("tiny")

    assert all(run.success for run in ran), ran
    assert [(run.job, run.partition) for run in ran][:2] == [("tiny_scores", FIRST), ("tiny_scores", SECOND)]
    assert not [run for run in ran if run.job == "tiny_seal"]  # who scores a window seals it too
    assert facts(tiny, "drift", FIRST)["state"] == "ok"
    assert facts(tiny, "drift", SECOND)["state"] == "drift"
    assert "width" in str(facts(tiny, "drift", SECOND)["columns"])
    made = predictions(tiny, SECOND)
    assert made["inference_id"].is_unique().all()
    assert made["key"].sort().to_list() == wide["id"].sort().to_list()
    proof = trace(tiny.settings, made["inference_id"][7], budget_s=None)
    assert proof.exit_code == 0
    assert {each.asset for each in proof.data} >= {"tiny/table", "tiny/scores", "tiny/predictions", "tiny/dataset"}
    assert replay(tiny.settings, made["inference_id"][7]).equal
    assert loop.settle("tiny") == []


def test_labels_that_come_through_the_source_are_counted_by_key(tiny: Tiny):
    write(tiny, day(4))
    loop = foreground_of(tiny)
    loop.tick("tiny_scores")
    assert facts(tiny, "performance")["labels"] == 0
    with (tiny.settings.root / "tiny.csv").open("a") as source:
        day(4).write_csv(source, include_header=False, datetime_format=FORM)
    loop.run("tiny_data", FIRST)

    [sealed] = loop.tick("tiny_seal")

    told = facts(tiny, "performance")
    assert sealed.partition == FIRST
    assert (told["labels"], told["mature"]) == (200, True)
    assert float(str(told["auc"])) > 0.9


def test_backfill_makes_what_is_missing_and_a_second_one_does_nothing(tiny: Tiny, capsys: pytest.CaptureFixture[str]):
    write(tiny, pl.concat([day(4), day(5)]))
    os.environ.update(environment(tiny.settings))
    command = ["backfill", "tiny", "--stage", "scores"]

    assert main([*command, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 windows to score; nothing was run"
    assert main([*command, "--windows", "2024-01-05"]) == 0
    assert main([*command, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines()[-2].startswith(f"scores   {FIRST} ")
    assert main(command) == 0
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "tiny: the scores are up to date (2 partitions)"
    assert facts(tiny, "drift", FIRST)["state"] == "ok"
    assert main([*command, "--windows", "2025-01-05"]) == 4


def test_only_a_product_that_declares_a_table_has_the_asset(tiny: Tiny):
    declaration = tiny.settings.defs / "tiny" / "defs.yaml"
    declaration.write_text(declaration.read_text().replace("  scores: {path: table.csv}\n", ""))

    definitions = foreground_of(tiny).definitions

    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert "tiny/predictions" in keys
    assert not {"tiny/scores", "tiny/table"} & keys
    assert "tiny_scores" not in {sensor.name for sensor in definitions.sensors or ()}


@pytest.mark.parametrize(
    "place", ["scored", *(pytest.param(place, marks=pytest.mark.chaos) for place in ("scoring", "sealed"))]
)
def test_a_run_that_is_killed_and_run_again_yields_each_row_exactly_once(tiny: Tiny, place: str):
    write(tiny, day(4))
    env = {**environment(tiny.settings), "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED, place], env=env, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]

    loop = foreground_of(tiny)
    ran = [*loop.tick("tiny_scores"), *loop.tick("tiny_seal")]

    assert [run.success for run in ran] == [True]
    made = predictions(tiny)
    assert made["inference_id"].is_unique().all()
    assert made["key"].sort().to_list() == day(4)["id"].sort().to_list()
    assert_intact(tiny.settings, tiny.product)
