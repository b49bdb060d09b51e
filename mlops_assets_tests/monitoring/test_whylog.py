"""One test for each way in which whylogs 1.6.4 surprises its users."""

import json
import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from mlops_assets.monitoring.profile import COUNTS, merge_profiles, observed, profile, read_profile
from mlops_assets.monitoring.whylog import metadata_of, profile_bytes
from mlops_assets.training.bins import count, merge
from mlops_assets.training.reference import freeze_bins
from mlops_assets_tests.detection.populations import table

AT = datetime(2026, 3, 2, tzinfo=UTC)
PLAIN = """
import json, sys
from whylogs.core import DatasetProfileView
view = DatasetProfileView.read(sys.argv[1])
n, t = view.get_column("n0").to_summary_dict(), view.get_column("t0").to_summary_dict()
print(json.dumps({"columns": sorted(view.get_columns()), "at": view.dataset_timestamp.isoformat(),
    "n": n["counts/n"], "null": n["counts/null"], "mean": n["distribution/mean"], "median": n["distribution/median"],
    "levels": t["cardinality/est"], "top": t["frequent_items/frequent_strings"][0].value, "strings": t["types/string"],
    "metadata": sorted(view.metadata)}))
"""
OURS = """
import json, sys, threading
import polars as pl
from datetime import UTC, datetime
from mlops_assets.monitoring.whylog import profile_bytes
profile_bytes(pl.DataFrame({"t": ["a", None]}), at=datetime(2026, 3, 2, tzinfo=UTC), metadata={})
import whylogs as why
row = why.log(row={"b": "x", "c": None}).view().get_column("b").to_summary_dict()["types/string"]
print(json.dumps({"threads": threading.active_count(), "viz": "whylogs.viz" in sys.modules, "row": row}))
"""


def rows(seed: int = 0, size: int = 1_000) -> pl.DataFrame:
    return table(np.random.default_rng(seed), size)


def run(code: str, *arguments: str, **environment: str) -> dict:
    kept = {name: value for name, value in os.environ.items() if name != "WHYLOGS_NO_ANALYTICS"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=kept | environment
    )
    return json.loads(done.stdout)


def test_plain_whylogs_opens_our_profile_in_another_process(tmp_path):
    frame = rows().with_columns(n0=pl.when(pl.int_range(pl.len()) < 50).then(None).otherwise(pl.col("n0")))
    path = tmp_path / "profile.bin"
    path.write_bytes(profile(frame, freeze_bins(frame, frame.columns), at=AT).whylogs)

    read = run(PLAIN, str(path), WHYLOGS_NO_ANALYTICS="1")

    assert read["columns"] == sorted(frame.columns)
    assert (read["n"], read["null"], read["strings"], read["top"]) == (1_000, 50, 1_000, "v0")
    assert (read["at"], read["metadata"]) == (AT.isoformat(), [COUNTS])
    assert read["mean"] == pytest.approx(frame["n0"].mean())
    assert read["median"] == pytest.approx(frame["n0"].median(), abs=0.02)
    assert read["levels"] == pytest.approx(10, abs=0.1)


def test_numpy_2_is_met_usage_is_not_reported_and_notebooks_are_not_needed():
    found = run(OURS)

    assert found == {"threads": 1, "viz": False, "row": 1}


def test_nulls_nans_and_infinities_are_counted_and_spoil_no_moment():
    frame = pl.DataFrame({"x": [1.0, 3.0, None, math.nan, math.inf, -math.inf]})

    from whylogs.core import DatasetProfileView

    view = DatasetProfileView.deserialize(profile_bytes(frame, at=AT, metadata={}))
    found = view.get_column("x").to_summary_dict()

    assert [found[f"counts/{name}"] for name in ("n", "null", "nan", "inf")] == [6, 2, 1, 2]
    assert (found["distribution/mean"], found["distribution/max"]) == (2.0, 3.0)


def test_ints_bools_and_missing_columns_are_profiled_too():
    frame = pl.DataFrame({"i": [1, 2], "b": [True, False], "nothing": [None, None]})
    made = profile(frame, freeze_bins(frame, frame.columns), at=AT)

    assert read_profile(made.whylogs).counts == made.counts
    assert made.counts.columns["nothing"].null == 2


def test_a_window_without_rows_has_a_profile():
    frame = rows()
    made = profile(frame.clear(), freeze_bins(frame, frame.columns), at=AT)

    assert read_profile(made.whylogs).counts.rows == 0


def test_eight_threads_lose_nothing():
    frames = [rows(seed) for seed in range(8)]
    bins = freeze_bins(frames[0], frames[0].columns)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda frame: profile(frame, bins, at=AT), frames))

    assert merge_profiles(made).counts == merge([count(frame, bins) for frame in frames])


def test_merged_profiles_are_exact_where_sketches_are_not_and_keep_one_metadata():
    bins = freeze_bins(rows(), rows().columns)
    a, b, c = (profile(rows(seed, 3_000), bins, at=AT) for seed in range(3))

    one, other = merge_profiles([a, b, c]), merge_profiles([merge_profiles([c, a]), b])

    assert one.counts == other.counts
    assert one.root == other.root
    assert read_profile(one.whylogs).counts == one.counts
    assert list(metadata_of(one.whylogs)) == [COUNTS]


def test_long_levels_do_not_break_the_sketch():
    frame = pl.DataFrame({"t": ["x" * 5_000, "y"]})

    assert profile_bytes(frame, at=AT, metadata={})


def test_a_column_that_is_gone_is_a_change_of_schema_not_a_silence():
    frame = rows()
    bins = freeze_bins(frame, frame.columns)

    made = profile(frame.drop("n0").with_columns(n1=pl.lit("text")), bins, at=AT)

    assert made.counts.changes == ["n0 is missing", "n1 is text, was number"]


def test_a_foreign_profile_is_refused():
    with pytest.raises(ValueError, match=r"without 'mlops_assets.counts' in its metadata; found: who"):
        read_profile(profile_bytes(rows(), at=AT, metadata={"who": "else"}))


def test_sealed_rows_show_features_by_name_and_the_prediction():
    sealed = pl.DataFrame({"inference_id": ["a"], "output": [0.7], "input.age": [3], "feature.age": [3.0]})

    assert observed(sealed).to_dict(as_series=False) == {"age": [3.0], "prediction": [0.7]}
