"""An ancestor is put to the very test that the window was put to, in fewer columns."""

import numpy as np
import polars as pl
import pytest

from mlops_assets.detection.drift import judge
from mlops_assets.detection.origin import origin
from mlops_assets.monitoring.same_test import Window, as_finding, finding_of, narrowed
from mlops_assets.training.bins import count
from mlops_assets_tests.detection.populations import counts, coupled, reference_of, table


def test_a_reference_of_some_columns_judges_as_if_there_were_no_others():
    random = np.random.default_rng(0)
    rows, live = table(random, 100, windows=30), table(random, 100).with_columns(pl.col("n1") + 1)
    some = ["n1", "n4", "t0"]
    whole, alone = reference_of(rows, 100), reference_of(rows.select(some), 100)

    part = narrowed(whole, some)

    assert part.bins.columns == some
    assert (part.bins.numeric, part.bins.text) == (alone.bins.numeric, alone.bins.text)
    assert part.windows == alone.windows
    assert judge(count(live, part.bins), part).verdict == judge(counts(live, alone), alone).verdict


def test_columns_that_the_reference_does_not_know_cannot_be_told():
    known = reference_of(coupled(np.random.default_rng(0), 3_000), 100)

    said = finding_of("source", [Window(phase=0, rows=coupled(np.random.default_rng(1), 100))], known, ["price"], [])

    assert (said.state, said.words) == ("cannot tell", "no column to test")


@pytest.mark.parametrize("by", [0.25, 0.5, 1.0])
@pytest.mark.parametrize(("moves", "never"), [(True, "between source and serving"), (False, "source")])
def test_a_weak_shift_is_put_nowhere_rather_than_in_the_wrong_place(by, moves, never):
    told: list[str] = []
    for seed in range(8):
        random = np.random.default_rng(seed)
        known, source = (reference_of(table(random, 150, windows=30), 150) for _ in range(2))
        live, then = (table(random, 150).with_columns(pl.col("n0") + add) for add in (by, by if moves else 0))
        verdict = judge(counts(live, known), known).verdict
        if verdict.state != "drift":
            continue
        logged, sent = (as_finding(each, verdict, known.bins.columns, []) for each in ("logged features", "requests"))
        shown = finding_of("source", [Window(phase=0, rows=then)], source, sent.moved, [])
        told.append(origin([shown, sent, logged], {name: (name,) for name in known.bins.columns}).where)

    assert never not in told
    assert by < 1 or set(told) == {"source" if moves else "between source and serving"}


def test_what_one_window_cannot_show_is_gathered_over_several():
    random = np.random.default_rng(1)
    known = reference_of(table(random, 150, windows=30), 150)
    slightly = [Window(phase=0, rows=table(random, 150).with_columns(pl.col("n0") + 0.2)) for _ in range(9)]

    alone = finding_of("source", slightly[-1:], known, ["n0", "n1"], [])
    together = finding_of("source", slightly, known, ["n0", "n1"], [])

    assert alone.state == "ok"
    assert (together.state, together.moved) == ("drift", ("n0",))
    assert together.over > 1
