"""`mlops-assets score`: a file is answered, logged and written out, each row once, and bad rows are told of by line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.cli import main
from mlops_assets.lineage.replay import replay
from mlops_assets.lineage.trace import trace
from mlops_assets.serving.scoring import reading
from mlops_assets.serving.scoring.sealing import scored_files
from mlops_assets.settings import environment
from mlops_assets_tests.intact import assert_intact
from mlops_assets_tests.serving.scoring.batch import FIRST, day, predictions, score, seal, write
from mlops_assets_tests.tiny import NAME, Tiny

Run = Callable[..., int]

KILLED = """
import os, signal
from mlops_assets.cli import main
from mlops_assets.serving.scoring import reading
from mlops_assets.serving.scoring.by_hand import Scoring

reading.PART, part = 60, Scoring.part

def dying(self, number, rows):
    lines = part(self, number, rows)
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return lines

Scoring.part = dying
main(["score", "tiny", "new.csv"])
"""


@pytest.fixture
def run(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in the folder of the product."""
    os.environ.update(environment(tiny.settings))
    monkeypatch.chdir(tiny.settings.root)
    return lambda *arguments: main(["score", NAME, *arguments])


def logged(tiny: Tiny, partition: str = FIRST) -> pl.DataFrame:
    files = scored_files(tiny.settings.serving(NAME), partition)
    return pl.concat([pl.read_parquet(file) for file in files])


def test_a_file_is_scored_logged_and_sealed_with_its_window_and_every_row_is_proven(tiny: Tiny, run: Run):
    write(tiny, day(4), "new.csv")

    assert run("new.csv") == 0

    out = pl.read_csv("new.scored.csv")
    assert out["key"].to_list() == day(4)["id"].to_list()
    assert out["row"].to_list() == list(range(1, 201))
    assert set(out["inference_id"]) == set(logged(tiny)["inference_id"])
    one = out["inference_id"][5]
    assert (trace(tiny.settings, one, budget_s=None).exit_code, replay(tiny.settings, one).equal) == (0, True)
    seal(tiny)
    assert set(predictions(tiny)["inference_id"]) == set(out["inference_id"])
    assert scored_files(tiny.settings.serving(NAME), FIRST) == []
    assert (trace(tiny.settings, one, budget_s=None).exit_code, replay(tiny.settings, one).equal) == (0, True)


@pytest.mark.parametrize("kind", [".parquet", ".ndjson"])
def test_the_same_rows_have_the_same_ids_whatever_kind_of_file_they_are_in_and_in_the_table_too(
    tiny: Tiny, run: Run, kind: str
):
    write(tiny, day(4))
    score(tiny)
    {".parquet": day(4).write_parquet, ".ndjson": day(4).write_ndjson}[kind](f"new{kind}")

    assert run(f"new{kind}") == 0

    out = pl.read_parquet("new.scored.parquet") if kind == ".parquet" else pl.read_ndjson("new.scored.ndjson")
    seal(tiny)
    assert set(predictions(tiny)["inference_id"]) == set(out["inference_id"])
    assert predictions(tiny).height == 200


def test_bad_rows_are_told_of_by_line_and_the_others_are_scored(
    tiny: Tiny, run: Run, capsys: pytest.CaptureFixture[str]
):
    bad = day(4)[:5].with_columns(
        at=pl.Series(["2024-01-04T01:00:00Z", "soon", *["2024-01-04T02:00:00Z"] * 3]),
        width=pl.Series(["0.5", "0.5", "tall", None, "0.4"]),
    )
    write(tiny, bad, "new.csv")

    assert run("new.csv") == 2

    said = capsys.readouterr().out.splitlines()
    assert said[:4] == [
        "new.csv: 2 of 5 rows scored (2 by tiny@1)",
        "  line 3: at: 'soon' is no time; right is ISO 8601, as 2026-01-31T12:00:00Z",
        "  line 4: width: found 'tall'; right is a number",
        "  line 5: width: found nothing; right is a number",
    ]
    assert pl.read_csv("new.scored.csv")["refused"].null_count() == 2
    assert logged(tiny).height == 2


def test_json_says_the_same_to_a_program(tiny: Tiny, run: Run, capsys: pytest.CaptureFixture[str]):
    write(tiny, day(4)[:3], "new.csv")

    assert run("new.csv", "--json", "--out", "out.parquet") == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["scored"], told["versions"]) == (3, 3, {"tiny@1": 3})
    assert (told["windows"], told["out"], told["problems"]) == (["2024-01-04"], "out.parquet", [])


def test_a_file_without_times_is_of_when_it_was_first_scored_and_with_now_of_now(tiny: Tiny, run: Run):
    write(tiny, day(4)[:3].drop("at"), "new.csv")

    ids = []
    for arguments in ((), (), ("--now",)):
        assert run("new.csv", *arguments) == 0
        ids.append(pl.read_csv("new.scored.csv")["inference_id"].to_list())

    assert ids[0] == ids[1]
    assert not set(ids[1]) & set(ids[2])


def test_rows_without_a_key_are_told_apart_by_their_time_else_by_their_place_in_the_file(tiny: Tiny, run: Run):
    write(tiny, pl.concat([day(4)[:1]] * 3).drop("id"), "new.csv")

    assert run("new.csv") == 0

    assert pl.read_csv("new.scored.csv")["inference_id"].n_unique() == 3
    assert pl.read_csv("new.scored.csv")["key"].to_list()[1:] == [f"2024-01-04T00:00:00Z#{nth}" for nth in (2, 3)]
    write(tiny, pl.concat([day(4)[:1]] * 3).drop("id", "at"), "new.csv")
    assert run("new.csv") == 0
    assert pl.read_csv("new.scored.csv")["inference_id"].n_unique() == 3


@pytest.mark.parametrize(
    ("table", "arguments", "code", "told"),
    [
        (None, ["new.csv"], 1, "no file 'new.csv'"),
        (day(4)[:0], ["new.csv"], 1, "has no rows"),
        (day(4).drop("width"), ["new.csv"], 1, "which the champion reads; columns: at, id, height\n"),
        (day(4), ["new.csv", "--segment", "north"], 4, "no segment 'north'; known segments: all"),
        (day(4), ["new.csv", "--out", "new.xlsx"], 1, "cannot write .xlsx; right is .csv, .ndjson, .parquet"),
        (day(4).with_columns(width=pl.lit("x")), ["new.csv"], 1, ""),
    ],
)
def test_what_cannot_be_scored_at_all_is_told_of_and_leaves_no_output(
    tiny: Tiny,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    table: pl.DataFrame | None,
    arguments: list[str],
    code: int,
    told: str,
):
    if table is not None:
        write(tiny, table, "new.csv")

    assert run(*arguments) == code

    assert told in capsys.readouterr().err
    assert told == "" or not list(Path().glob("*.scored.*")) + list(Path().glob(".new*"))


def test_a_long_file_is_scored_part_by_part_with_progress(
    tiny: Tiny, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    write(tiny, day(4), "new.csv")
    assert run("new.csv") == 0
    whole = pl.read_csv("new.scored.csv")
    monkeypatch.setattr(reading, "PART", 60)
    monkeypatch.setattr("mlops_assets.operations.scoring.PART", 60)

    assert run("new.csv") == 0

    assert pl.read_csv("new.scored.csv").equals(whole)
    assert "180 rows" in capsys.readouterr().err


def test_a_run_that_is_killed_in_the_middle_and_run_again_yields_each_row_exactly_once(tiny: Tiny, run: Run):
    write(tiny, day(4).drop("at"), "new.csv")
    env = {**environment(tiny.settings), "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([sys.executable, "-W", "ignore", "-c", KILLED], env=env, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    assert not Path("new.scored.csv").exists()

    assert run("new.csv") == 0

    out = pl.read_csv("new.scored.csv")
    [window] = {each[:10] for each in out["at"]}
    rows = logged(tiny, f"all|{window}").unique("inference_id")
    assert (out.height, rows.height, set(rows["inference_id"])) == (200, 200, set(out["inference_id"]))
    assert_intact(tiny.settings, tiny.product)
