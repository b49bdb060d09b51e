"""PSI, KS and KL against their definitions on rows."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import ks_2samp

from mlops_assets.detection.distances import distances
from mlops_assets_tests.detection.populations import counts, reference_of, table


def test_a_window_like_the_reference_is_near_and_a_moved_column_is_far():
    random = np.random.default_rng(0)
    seen = reference_of(table(random, 28 * 500), 500)

    found = distances(counts(table(random, 500).with_columns(n0=pl.col("n0") + 1.0), seen), seen)

    assert found["n0"].psi > 0.5
    assert found["n0"].over_the_line
    assert max(each.psi for name, each in found.items() if name != "n0") < 0.15
    assert not found["n1"].over_the_line


def test_psi_and_kl_are_those_of_the_shares_per_bin():
    history = pl.DataFrame({"t": ["a"] * 500 + ["b"] * 500})
    seen = reference_of(history, 50)

    found = distances(counts(pl.DataFrame({"t": ["a"] * 900 + ["b"] * 100}), seen), seen)["t"]

    live, known = np.array([0.9, 0.1]), np.array([0.5, 0.5])
    assert found.kl == pytest.approx((live * np.log(live / known)).sum(), abs=0.02)
    assert found.psi == pytest.approx(((live - known) * np.log(live / known)).sum(), abs=0.02)
    assert found.ks is None


def test_ks_over_the_bins_is_close_to_that_of_the_rows():
    random = np.random.default_rng(1)
    history, live = table(random, 28 * 500), table(random, 500).with_columns(n0=pl.col("n0") * 1.5)
    seen = reference_of(history, 500)

    found = distances(counts(live, seen), seen)["n0"].ks

    assert found == pytest.approx(ks_2samp(live["n0"], history["n0"]).statistic, abs=0.03)


def test_nothing_is_infinite_and_a_window_without_rows_has_no_distances():
    random = np.random.default_rng(2)
    seen = reference_of(table(random, 28 * 100), 100)
    odd = table(random, 100).with_columns(n0=pl.lit(None, pl.Float64), t0=pl.lit("never seen"))

    found = distances(counts(odd, seen), seen)

    assert all(np.isfinite([each.psi, each.kl]).all() for each in found.values())
    assert found["n0"].ks is None
    assert distances(counts(odd.clear(), seen), seen) == {}
