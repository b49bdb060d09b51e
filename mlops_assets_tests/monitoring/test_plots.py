import numpy as np
import polars as pl
import pytest

from mlops_assets.detection.drift import judge
from mlops_assets.monitoring.plots import reference_vs_live, verdict_timeline
from mlops_assets_tests.detection.populations import counts, reference_of, table

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_number_and_a_text_column_are_drawn_against_their_reference():
    random = np.random.default_rng(0)
    seen = reference_of(table(random, 400).with_columns(nothing=pl.lit(None)), 50)
    live = counts(table(random, 50).with_columns(nothing=pl.lit(None)), seen)

    for column in ("n0", "t0", "nothing"):
        assert reference_vs_live(column, live, seen).startswith(PNG)
    with pytest.raises(LookupError, match="no column 'x'; counted are: n0, n1"):
        reference_vs_live("x", live, seen)


def test_verdicts_are_drawn_over_time_also_those_that_cannot_tell():
    random = np.random.default_rng(0)
    seen = reference_of(table(random, 400), 50)
    verdicts = [judge(counts(table(random, rows), seen), seen) for rows in (0, 60, 60)]

    assert verdict_timeline([(f"day {i}", verdict) for i, verdict in enumerate(verdicts)]).startswith(PNG)
    assert verdict_timeline([]).startswith(PNG)
