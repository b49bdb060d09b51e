"""The harness of the benchmarks: what it writes, which rows a named run replaces; no figure is judged here."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from benchmarks.__main__ import FIGURES, main
from benchmarks.measure import fastest, python, said
from benchmarks.results import Measure, Result, read, result, run, write
from benchmarks.served_client import Asking, ask
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


def asked() -> list[Result]:
    return [
        result("ask_a", 9.0, "µs", beside="a floor", beside_figure=3.0),
        result("ask_b", 8.0, "µs", beside="another", beside_figure=4.0),
        result("ask_c", 70.0, "requests/s", beside="a peer", beside_figure=7.0),
    ]


def test_each_unit_has_a_table_and_where_they_differ_it_is_said_whose_figures_stand_beside(tmp_path: Path):
    run(tmp_path, {"ask": asked}, only="ask", machine="here")

    text = (tmp_path / "RESULTS.md").read_text()
    assert "| ask | µs | met |" in text
    assert "| ask_a | 9 (a floor: 3) |  |\n| ask_b | 8 (another: 4) |  |" in text
    assert "| ask | requests/s (a peer) | met |\n| --- | ---: | --- |\n| ask_c | 70 (7) |  |" in text


@contextmanager
def answering(body: bytes, status: str = "200 OK") -> Iterator[int]:
    """A server that says the same to every request."""
    said = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):  # the client leaves with a request under way
                while connection.recv(65_536):
                    connection.sendall(said[:9])
                    connection.sendall(said[9:])

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def asking(port: int) -> Asking:
    return Asking(port=port, connections=1, times=20, path="/p", bodies=["{}"], scores=[0.25])


def test_the_client_times_right_answers_and_refuses_wrong_ones():
    with answering(b'{"output":0.25}') as port:
        timing = ask(asking(port))
    assert 0 < timing.p50 <= timing.p99
    assert 0 < timing.busy <= 1.5

    for body, status, problem in (
        (b'{"predictions":[0.5]}', "200 OK", r"answered 0\.5; right is 0\.25"),
        (b"{}", "503 Service Unavailable", "503 Service Unavailable"),
    ):
        with answering(body, status) as port, pytest.raises(RuntimeError, match=problem):
            ask(asking(port))


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
