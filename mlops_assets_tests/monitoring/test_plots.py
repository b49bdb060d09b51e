"""Pictures: SVG that every browser draws, and that says in words what its colours say."""

import xml.etree.ElementTree as Xml
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from mlops_assets.chart import some, ticks
from mlops_assets.monitoring.column_plot import SHARES, reference_vs_live, spark
from mlops_assets.monitoring.plots import Mark, Point, performance_plot, verdict_timeline
from mlops_assets.monitoring.profile import profile
from mlops_assets.monitoring.whylog import quantiles_of
from mlops_assets_tests.detection.populations import reference_of, table

AT = datetime(2026, 3, 2, tzinfo=UTC)
SMALL = 16_000  # bytes


def rows(random: np.random.Generator, count: int) -> pl.DataFrame:
    """`table` with a column of nothing, one of two values, and one of whole numbers."""
    return table(random, count).with_columns(
        nothing=pl.lit(None), flag=pl.Series(random.random(count) < 0.3), rooms=pl.Series(random.integers(1, 9, count))
    )


@pytest.fixture(scope="module")
def window():
    """A reference of 28 windows, and a live one whose level `v0` became `<new> & old`."""
    random = np.random.default_rng(0)
    seen = reference_of(rows(random, 1_400), 50)
    live = rows(random, 50).with_columns(pl.col("t0").replace("v0", "<new> & old"))
    return seen, profile(live, seen.bins, at=AT)


def words(svg: str) -> str:
    """All text of a picture; that it parses is part of the test."""
    return " ".join(
        "".join(node.itertext()) for node in Xml.fromstring(svg).iter() if node.tag.endswith(("text", "title"))
    )


@pytest.mark.parametrize("column", ["n0", "t0", "nothing", "flag", "rooms"])
def test_every_kind_of_column_is_drawn_against_its_reference_and_stays_small(window, column):
    seen, made = window
    quantiles = quantiles_of(made.whylogs, SHARES).get(column, ())

    large = reference_vs_live(column, made.counts, seen, quantiles)

    assert f"{column}: 50 live rows, 28 reference windows" in words(large)
    assert len(large) < SMALL
    assert len(spark(column, made.counts, seen)) < SMALL / 2
    Xml.fromstring(spark(column, made.counts, seen))


def test_numbers_have_a_second_panel_from_the_sketch_and_text_has_not(window):
    seen, made = window
    quantiles = quantiles_of(made.whylogs, SHARES)

    number, text = (reference_vs_live(name, made.counts, seen, quantiles.get(name, ())) for name in ("n0", "t0"))

    assert "from the whylogs sketch" in words(number)
    assert "from the whylogs sketch" not in words(text)


def test_only_bins_that_a_window_has_are_shown_by_what_they_hold(window):
    """A column of whole numbers has bins between them too, which no row is in."""
    seen, made = window

    told = words(reference_vs_live("flag", made.counts, seen))

    assert "0: " in told
    assert "1: " in told
    assert "e-324" not in told


def test_a_level_that_is_new_is_shown_as_unseen_and_missing_values_by_name(window):
    seen, made = window

    assert "unseen" in words(reference_vs_live("t0", made.counts, seen))
    assert "missing: 100.0%" in words(reference_vs_live("nothing", made.counts, seen))


def test_a_column_that_was_not_counted_is_refused_with_those_that_were(window):
    seen, made = window

    with pytest.raises(LookupError, match="no column 'x'; counted are: n0, n1"):
        reference_vs_live("x", made.counts, seen)


def test_names_from_outside_cannot_break_out_of_a_picture():
    svg = verdict_timeline([Mark(window='"><script>', state="ok", p_value=0.5)])

    assert "<script" not in svg
    assert '"><script>: ok, p = 0.5' in words(svg)


def test_verdicts_are_told_apart_without_colour():
    marks = [
        Mark(window=f"2026-01-{day + 1:02}", state=state, p_value=p_value)
        for day, (state, p_value) in enumerate([("ok", 0.4), ("cannot tell", None), ("drift", 1e-30)])
    ]

    drawn = Xml.fromstring(verdict_timeline(marks))

    letters = [node.text for node in drawn.iter() if node.get("font-weight") == "700"]
    assert letters == ["?", "D"]
    assert "2026-01-03: drift, p = 1e-30" in words(Xml.tostring(drawn, encoding="unicode"))
    assert verdict_timeline([])


def test_only_the_latest_thirty_windows_are_drawn():
    marks = [Mark(window=f"w{place}", state="ok", p_value=0.5) for place in range(90)]

    told = words(verdict_timeline(marks))

    assert "last 30 windows" in told
    assert "w60: ok" in told
    assert "w59: ok" not in told


def test_a_window_of_too_few_labels_is_drawn_hollow_and_told_as_such():
    ripe = Point(window="2026-01-01", value=0.8, low=0.7, high=0.9, maturity=1.0, judged=True)
    green = Point(window="2026-01-02", value=0.5, low=0.2, high=0.8, maturity=0.3, judged=False)
    none = Point(window="2026-01-03", value=None, maturity=0.0, judged=False)

    svg = performance_plot([ripe, green, none], metric="auc", floor=0.6)

    filled, hollow = (node.get("fill") for node in Xml.fromstring(svg).iter() if node.tag.endswith("circle"))
    assert (filled == "#ffffff", hollow == "#ffffff") == (False, True)
    assert "2026-01-02: 0.5, too few labels to judge" in words(svg)
    assert "2026-01-02: 30% of rows have a label" in words(svg)
    assert "judged from 80% on" in words(svg)
    assert performance_plot([], metric="auc")


def test_the_same_numbers_give_the_same_bytes(window):
    seen, made = window

    assert reference_vs_live("n0", made.counts, seen) == reference_vs_live("n0", made.counts, seen)


def test_ticks_are_round_and_lie_in_the_range():
    assert [label for _, label in ticks(0.113, 0.98)] == ["0.2", "0.4", "0.6", "0.8"]
    assert [label for _, label in ticks(0, 0.18, percent=True)] == ["0%", "5%", "10%", "15%"]
    assert [label for _, label in ticks(0, 250_000)] == ["0", "100,000", "200,000"]
    assert ticks(5, 5) == [(5, "5")]


def test_labels_keep_their_distance_and_the_last_one_is_there():
    assert some([f"d{place}" for place in range(12)], 7, apart=5) == [(11.0, "d11"), (6.0, "d6"), (1.0, "d1")]
    assert some([], 7) == []
