"""The harness of the benchmarks: what it writes, which rows a named run replaces; no figure is judged here."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from benchmarks.__main__ import FIGURES, main
from benchmarks.measure import fastest, python, said
from benchmarks.results import Measure, Result, read, result, run, write
from mlops_assets.settings import Settings

HERE = Path(__file__).parents[1] / "benchmarks"
NEED_A_GPU = {"torch_gpu_vs_bare"}  # no row until one was at hand
KEYS = ["name", "figure", "unit", "beside", "beside_figure", "ratio", "aim", "met"]


def quick() -> list[Result]:
    return [
        result("quick_s", 0.5, "s", beside="a floor", beside_figure=0.25, aim=0.4),
        result("quick_s/part", 0.1, "s"),
    ]


def even() -> list[Result]:
    return [result("one_vs_other", 30.0, "µs", beside="the other", beside_figure=20.0, aim=1.5)]


MEASURES: dict[str, Measure] = {"quick_s": quick, "one_vs_other": even}


def test_a_run_writes_every_figure_as_json_and_as_a_table_with_the_machine(tmp_path: Path):
    run(tmp_path, MEASURES, only=None, machine="a machine, polars 2.1.0.")

    written = json.loads((tmp_path / "results.json").read_text())
    text = (tmp_path / "RESULTS.md").read_text()
    assert [list(row) for row in written] == [KEYS] * 3
    assert written[0] == dict(zip(KEYS, ["quick_s", 0.5, "s", "a floor", 0.25, 2.0, 0.4, False], strict=True))
    assert "a machine, polars 2.1.0." in text
    assert "| one_vs_other | 30 | µs | the other | 20 | 1.5 | ratio ≤ 1.5 | yes |" in text


def test_an_aim_can_be_the_least_that_is_wanted():
    rows = [result("kept", figure, "share", aim=0.85, at_least=True) for figure in (0.9, 0.8)]

    assert [row.met for row in rows] == [True, False]
    assert "aim ≥ 0.85: met" in rows[0].line


def test_a_named_run_replaces_only_the_rows_of_its_figure_and_parts(tmp_path: Path):
    before = [result("quick_s", 9.0, "s"), result("quick_s/gone", 8.0, "s"), *even(), result("dropped", 7.0, "s")]
    write(tmp_path, before, "another machine")

    measured = run(tmp_path, MEASURES, only="quick_s", machine="here")

    assert measured == quick()
    assert read(tmp_path) == [*quick(), *even()]


def several() -> list[Result]:
    return [
        result("alarms_a", 0.01, "share", beside="promised", beside_figure=0.04, aim=0.04),
        result("alarms_a/peer", 0.5, "share"),
        result("alarms_b", 0.02, "share", beside="promised", beside_figure=0.04, aim=0.01),
    ]


def test_figures_measured_together_under_one_name_are_replaced_together_and_have_their_parts_beside(tmp_path: Path):
    measures: dict[str, Measure] = {**MEASURES, "many": several}
    write(tmp_path, [msgspec.structs.replace(result("alarms_gone", 1.0, "share"), group="many"), *quick()], "here")

    run(tmp_path, measures, only="many", machine="here")

    text = (tmp_path / "RESULTS.md").read_text()
    assert [(row.name, row.group) for row in read(tmp_path)] == [
        *((row.name, "") for row in quick()),
        *((row.name, "many") for row in several()),
    ]
    assert "| many | share (promised) | peer share | met |" in text
    assert "| alarms_a | 0.01 (0.04) | 0.5 | yes |\n| alarms_b | 0.02 (0.04) |  | no |" in text


def test_the_fastest_round_counts_and_measures_take_turns():
    order: list[str] = []

    def taking(name: str, *seconds: float) -> Iterator[float]:
        for each in seconds:
            order.append(name)
            yield each

    first, second = taking("a", 3.0, 1.0), taking("b", 5.0, 6.0)

    assert fastest(2, lambda: next(first), lambda: next(second)) == [1.0, 5.0]
    assert order == ["a", "b", "a", "b"]


def test_a_measured_process_uses_the_deployment_with_one_thread(settings: Settings):
    script = "import os; print(os.environ['MLOPS_ASSETS_HOME'], os.environ['POLARS_MAX_THREADS'])"

    assert said(python("-c", script), settings).split() == [str(settings.home), "1"]
    with pytest.raises(RuntimeError, match=r"ended with 1:\n(.|\n)*no such thing"):
        said(python("-c", "raise SystemExit('no such thing')"), settings)


def test_an_unknown_figure_is_refused_with_those_known(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["serve_p99"])

    said_why = capsys.readouterr().err
    assert all(name in said_why for name in FIGURES)


def test_what_is_published_has_a_row_of_every_figure():
    rows = read(HERE)

    measured = {row.group or row.name for row in rows if "/" not in row.name}
    assert measured | NEED_A_GPU == set(FIGURES)
    assert all(row.group in FIGURES or row.name.partition("/")[0] in FIGURES for row in rows)
