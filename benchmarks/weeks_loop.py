"""What one would write for many windows without a platform: each week's rows checked and kept, a model each."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from benchmarks.million_script import SCHEMA, fitted

WINDOWS = 4
PARAMS = {
    "objective": "binary",
    "num_iterations": 50,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
REGIONS = ("north", "south")


class Loop:
    """The loop over weeks and regions; it keeps rows and models in a folder."""

    def __init__(self, source: Path, kept: Path) -> None:
        """Read the rows of all weeks."""
        week = pl.col("applied_at").dt.truncate("1w").dt.strftime("%Y-%m-%d")
        self._rows = pl.read_parquet(source).with_columns(week=week)
        self._kept = kept

    def make(self, weeks: Sequence[str]) -> None:
        """Check and keep the rows of each week, then train a model of each on the last four."""
        for week in weeks:
            for region in REGIONS:
                rows = self._rows.filter(pl.col("week") == week, pl.col("region") == region).drop("week", "region")
                valid = SCHEMA.validate(rows.drop("approved"), lazy=True)
                labelled = valid.join(rows.select("application_id", "approved"), on="application_id")
                labelled.write_parquet(self._kept / f"{region}-{week}.parquet")
        for week in weeks:
            for region in REGIONS:
                self._train(region, week)

    def _train(self, region: str, week: str) -> float:
        files = [each for each in sorted(self._kept.glob(f"{region}-*.parquet")) if each.stem <= f"{region}-{week}"]
        parts = [pl.read_parquet(file) for file in files[-WINDOWS:]]
        params = {name: value for name, value in PARAMS.items() if name != "num_iterations"}
        return fitted(
            pl.concat(parts),
            newest=parts[-1].height,
            model=self._kept / f"{region}-{week}.txt",
            params=params,
            rounds=int(PARAMS["num_iterations"]),
        )
