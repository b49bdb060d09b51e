"""One test for each way in which whylogs 1.6.4 surprises its users.

Its viewer and drift scores (chi-square, Kolmogorov-Smirnov), its loggers (rolling ones lose rows) and logging row by
row (a millisecond each) cannot surprise us, since nothing uses them: the last test keeps it so.
"""

import ast
import json
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from mlops_assets.detection.distances import distances
from mlops_assets.evidence.records import digest
from mlops_assets.monitoring.profile import COUNTS, Profile, merge_profiles, observed, profile, read_profile
from mlops_assets.monitoring.whylog import column_view, metadata_of, profile_bytes, quantiles_of
from mlops_assets.training.bins import count, merge
from mlops_assets.training.frozen import freeze_bins
from mlops_assets.training.seen import seen_in
from mlops_assets_tests.detection.populations import counts, reference_of, table
from mlops_assets_tests.layout import PRODUCT, modules

AT = datetime(2026, 3, 2, tzinfo=UTC)
PLAIN = """
import json, sys
from whylogs.core import DatasetProfileView
view = DatasetProfileView.read(sys.argv[1])
n, t = view.get_column("n0").to_summary_dict(), view.get_column("t0").to_summary_dict()
print(json.dumps({"columns": sorted(view.get_columns()), "at": view.dataset_timestamp.isoformat(),
    "n": n["counts/n"], "null": n["counts/null"], "mean": n["distribution/mean"], "median": n["distribution/median"],
    "sd": n["distribution/stddev"], "levels": t["cardinality/est"],
    "top": t["frequent_items/frequent_strings"][0].value, "strings": t["types/string"],
    "metadata": sorted(view.metadata)}))
"""
OURS = """
import json, sys, threading
import numpy as np, polars as pl
from datetime import UTC, datetime
from mlops_assets.monitoring.profile import profile
from mlops_assets.training.frozen import freeze_bins
rows = pl.DataFrame({"t": ["a", None], "x": [1.0, 2.0]})
profile(rows, freeze_bins(rows, rows.columns), at=datetime(2026, 3, 2, tzinfo=UTC))
import whylogs as why
row = why.log(row={"b": "x", "c": None}).view().get_column("b").to_summary_dict()["types/string"]
print(json.dumps({"threads": threading.active_count(), "viz": "whylogs.viz" in sys.modules, "row": row}))
"""
DIGEST = """
import hashlib, json, sys
import polars as pl
from datetime import UTC, datetime
from mlops_assets.monitoring.profile import profile
from mlops_assets.training.frozen import freeze_bins
rows = pl.read_parquet(sys.argv[1])
bins = freeze_bins(rows, rows.columns)
made = profile(rows.sample(fraction=1, shuffle=True, seed=int(sys.argv[2])), bins, at=datetime(2026, 3, 2, tzinfo=UTC))
print(json.dumps({"sha256": hashlib.sha256(made.whylogs).hexdigest()}))
"""

THEIRS = """
import json, sys, whylogs as why, pandas as pd
print(json.dumps({"bytes": len(why.log(pd.read_csv(sys.argv[1])).view().serialize())}))
"""


def rows(seed: int = 0, size: int = 1_000) -> pl.DataFrame:
    return table(np.random.default_rng(seed), size)


def made(frame: pl.DataFrame, known: pl.DataFrame | None = None) -> Profile:
    """The profile of a table over its own bins, or over those of the table `known`."""
    of = frame if known is None else known
    return profile(frame, freeze_bins(of, of.columns), at=AT)


def seen_by_whylogs(data: bytes, column: str) -> dict:
    from whylogs.core import DatasetProfileView

    return DatasetProfileView.deserialize(data).get_column(column).to_summary_dict()


def run(code: str, *arguments: str, **environment: str) -> dict:
    kept = {name: value for name, value in os.environ.items() if name != "WHYLOGS_NO_ANALYTICS"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=kept | environment
    )
    return json.loads(done.stdout)


def test_plain_whylogs_opens_our_profile_in_another_process(tmp_path):
    frame = rows().with_columns(n0=pl.when(pl.int_range(pl.len()) < 50).then(None).otherwise(pl.col("n0")))
    path = tmp_path / "profile.bin"
    path.write_bytes(made(frame).whylogs)

    read = run(PLAIN, str(path), WHYLOGS_NO_ANALYTICS="1")

    assert read["columns"] == sorted(frame.columns)
    assert (read["n"], read["null"], read["strings"], read["top"]) == (1_000, 50, 1_000, "v0")
    assert (read["at"], read["metadata"]) == (AT.isoformat(), [COUNTS])
    assert read["mean"] == pytest.approx(frame["n0"].mean())
    assert read["sd"] == pytest.approx(frame["n0"].std())
    assert read["median"] == pytest.approx(frame["n0"].median(), abs=0.02)
    assert read["levels"] == pytest.approx(10, abs=0.1)


def test_numpy_2_is_met_usage_is_not_reported_and_notebooks_are_not_needed():
    found = run(OURS)

    assert found == {"threads": 1, "viz": False, "row": 1}


def test_whylogs_own_constraints_hold_on_our_profile_after_it_was_stored():
    from whylogs.core import DatasetProfileView
    from whylogs.core.constraints import ConstraintsBuilder
    from whylogs.core.constraints.factories import mean_between_range, no_missing_values

    stored = DatasetProfileView.deserialize(made(rows()).whylogs)
    builder = ConstraintsBuilder(dataset_profile_view=stored)
    builder.add_constraint(no_missing_values(column_name="n0"))
    builder.add_constraint(mean_between_range(column_name="n0", lower=-0.2, upper=0.2))

    assert builder.build().validate()


def test_half_of_the_values_missing_is_not_invisible():
    """Its Kolmogorov-Smirnov test says p = 0.80."""
    frame = rows()
    half = frame.with_columns(n0=pl.when(pl.int_range(pl.len()) % 2 == 0).then(None).otherwise(pl.col("n0")))

    found = made(half, frame).counts.columns["n0"]

    assert (found.null, found.valid) == (500, 500)


def test_nulls_nans_and_infinities_are_counted_and_spoil_no_moment():
    """One infinite value makes its mean and variance NaN."""
    frame = pl.DataFrame({"x": [1.0, 3.0, None, math.nan, math.inf, -math.inf]})

    profiled = made(frame)

    found, counted = seen_by_whylogs(profiled.whylogs, "x"), profiled.counts.columns["x"]
    assert [found[f"counts/{name}"] for name in ("n", "null", "nan", "inf")] == [6, 2, 1, 2]
    assert (found["distribution/mean"], found["distribution/max"]) == (2.0, 3.0)
    assert (counted.valid, counted.null, counted.inf) == (2, 2, 2)


def test_numbers_too_large_for_a_square_are_profiled():
    frame = pl.DataFrame({"x": [-1.7e308, 1.7e308]})

    assert quantiles_of(made(frame, pl.DataFrame({"x": [0.0, 1.0]})).whylogs)["x"][0] == -1.7e308


def test_one_outlier_moves_one_row_from_one_bin_to_another():
    """One value of 1e6 takes its Hellinger distance of a shift by one sd from 0.353 to 0.010."""
    frame = rows()
    spoilt = frame.with_columns(n0=pl.when(pl.int_range(pl.len()) == 0).then(1e6).otherwise(pl.col("n0")))

    before, after = (made(each, frame).counts.columns["n0"].bins for each in (frame, spoilt))

    assert sum(abs(a - b) for a, b in zip(before, after, strict=True)) == 2


def test_one_new_category_is_one_unseen_row_and_no_infinite_distance():
    """Its chi-square is infinite, so p = 0: drift."""
    seen = reference_of(table(np.random.default_rng(0), 500, windows=28), 500)
    live = rows(size=5_000).with_columns(t0=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("new")).otherwise("t0"))

    found = counts(live, seen)

    assert found.columns["t0"].bins[-1] == 1
    assert distances(found, seen)["t0"].psi < 0.05


def test_a_column_that_is_gone_or_became_text_is_a_change_of_schema_not_a_silence():
    """It leaves the missing one out of its answer, and answers None for the other."""
    changed = rows().drop("n0").with_columns(n1=pl.lit("text"), n2=pl.lit(date(2026, 1, 1)))

    profiled = made(changed, rows())

    assert profiled.counts.changes == ["n0 is missing", "n1 is text, was number", "n2 is Date, was number"]
    assert seen_by_whylogs(profiled.whylogs, "n1")["types/string"] == 1_000


def test_a_column_of_very_many_levels_is_counted_and_costs_few_bytes():
    """Its p-value is 1 whatever happens."""
    towns = pl.DataFrame({"town": [f"town {place % 20_000}" for place in range(60_000)]})
    moved = towns.select(town="other " + pl.col("town"))

    profiled = made(towns)

    assert profiled.counts.columns["town"].bins == [*[3] * 20, 59_940, 0]
    assert made(moved, towns).counts.columns["town"].bins == [*[0] * 20, 60_000, 0]
    assert seen_by_whylogs(profiled.whylogs, "town")["cardinality/est"] == pytest.approx(20_000, rel=0.05)
    assert len(profiled.whylogs) < 20_000


def test_a_profile_has_less_than_half_of_the_bytes_of_the_one_that_whylogs_makes(tmp_path):
    frame, path = rows(size=20_000), tmp_path / "rows.csv"
    frame.write_csv(path)

    theirs = run(THEIRS, str(path), WHYLOGS_NO_ANALYTICS="1")["bytes"]

    assert len(made(frame).whylogs) < theirs / 2


def test_the_same_rows_in_any_order_give_the_same_bytes_in_every_process(tmp_path):
    """Its sketches compact by chance: the same rows give other bytes each time, and so do the same merges."""
    path = tmp_path / "rows.parquet"
    rows(size=5_000).write_parquet(path)

    there = run(DIGEST, str(path), "1")["sha256"]

    assert there == digest(made(pl.read_parquet(path)).whylogs)


def test_merged_profiles_are_exact_where_sketches_are_not_and_keep_one_metadata():
    bins = freeze_bins(rows(), rows().columns)
    a, b, c = (profile(rows(seed, 3_000), bins, at=AT) for seed in range(3))

    one, other = merge_profiles([a, b, c]), merge_profiles([merge_profiles([c, a]), b])

    assert one.counts == other.counts
    assert one.root == other.root
    assert read_profile(one.whylogs).counts == one.counts
    assert list(metadata_of(one.whylogs)) == [COUNTS]
    assert seen_by_whylogs(one.whylogs, "n0")["distribution/n"] == 9_000


def test_eight_threads_lose_nothing():
    """Eight threads on one of its profiles lose a tenth of the rows and a third of the mean."""
    frames = [rows(seed) for seed in range(8)]
    bins = freeze_bins(frames[0], frames[0].columns)

    with ThreadPoolExecutor(8) as pool:
        profiles = list(pool.map(lambda frame: profile(frame, bins, at=AT), frames))

    assert merge_profiles(profiles).counts == merge([count(frame, bins) for frame in frames])


@pytest.mark.parametrize("size", [1, 2, 7, 1_024, 1_025, 2_049, 5_000, 99_999])
def test_quantiles_are_right_to_a_third_of_a_percent_of_the_rows(size):
    values = np.random.default_rng(size).normal(size=size)
    shares = np.linspace(0, 1, 21)

    found = quantiles_of(made(pl.DataFrame({"x": values})).whylogs, shares.tolist())["x"]

    ranks = np.searchsorted(np.sort(values), found)
    assert np.abs(ranks[1:] - shares[1:] * size).max() <= max(0.003 * size, 1)


def test_our_sketch_merges_with_one_that_whylogs_filled():
    from whylogs.core.metrics.metric_components import KllComponent

    draw = np.random.default_rng(0)
    theirs = KllComponent.mtype(1_024)
    theirs.update(draw.normal(size=30_000))
    ours = column_view(seen_in(pl.Series("x", draw.normal(size=50_000)))).get_metric("distribution").kll

    both = (ours + KllComponent(theirs)).value

    assert both.get_n() == 80_000
    assert both.get_quantiles([0.25, 0.5, 0.75]) == pytest.approx([-0.674, 0, 0.674], abs=0.03)


def test_ints_bools_and_empty_columns_are_profiled_as_what_they_are():
    frame = pl.DataFrame({"i": [1, 2], "b": [True, False], "nothing": [None, None]})

    profiled = made(frame)

    assert read_profile(profiled.whylogs).counts == profiled.counts
    assert profiled.counts.columns["nothing"].null == 2
    assert seen_by_whylogs(profiled.whylogs, "i")["types/integral"] == 2
    assert seen_by_whylogs(profiled.whylogs, "b")["counts/true"] == 1


def test_a_window_without_rows_has_a_profile():
    assert read_profile(made(rows().clear(), rows()).whylogs).counts.rows == 0


def test_long_levels_do_not_break_the_sketch():
    assert made(pl.DataFrame({"t": ["x" * 5_000, "y"]})).whylogs


def test_a_foreign_profile_is_refused():
    with pytest.raises(ValueError, match=r"without 'mlops_assets.counts' in its metadata; found: who"):
        read_profile(profile_bytes({}, at=AT, metadata={"who": "else"}))


def test_sealed_rows_show_features_by_name_and_the_prediction():
    sealed = pl.DataFrame({"inference_id": ["a"], "output": [0.7], "input.age": [3], "feature.age": [3.0]})

    assert observed(sealed).to_dict(as_series=False) == {"age": [3.0], "prediction": [0.7]}


def test_one_module_touches_whylogs_and_nothing_logs_rows_or_asks_it_for_a_verdict():
    used = {module.name: _used_of_whylogs(module.tree) for module in modules(PRODUCT)}

    assert [name for name, names in used.items() if names] == ["monitoring/whylog.py"]
    assert not [name for name in used["monitoring/whylog.py"] if not name.startswith("whylogs.core")]


def _used_of_whylogs(tree: ast.Module) -> list[str]:
    """Return the names that a module imports from whylogs when it runs."""
    types = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    skipped = {id(inner) for node in types for inner in ast.walk(node)}
    froms = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and id(node) not in skipped)
    plain = (node for node in ast.walk(tree) if isinstance(node, ast.Import) and id(node) not in skipped)
    names = [node.module or "" for node in froms] + [alias.name for node in plain for alias in node.names]
    return [name for name in names if name.startswith("whylogs")]
