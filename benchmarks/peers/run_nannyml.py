"""NannyML 0.13.1: univariate drift of every column and the reconstruction error, both at their defaults, in chunks.

Its thresholds are the mean of the reference's chunks and three of their sds.
"""

import os

import numpy as np
import pandas as pd
from windows import Scored, Windows, main


def score(windows: Windows) -> list[Scored]:
    """Return the largest distance from the reference's chunks, 1 at a threshold, and whether anything alerts."""
    os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
    import nannyml

    columns = [*windows.numbers, *windows.texts]
    live = pd.concat(windows.live, ignore_index=True)
    parts = []
    for kind in (nannyml.UnivariateDriftCalculator, nannyml.DataReconstructionDriftCalculator):
        result = kind(column_names=columns, chunk_size=windows.size).fit(windows.reference).calculate(live)
        both = (result.filter(period=period).to_df() for period in ("reference", "analysis"))
        parts.append(_distances(*both))
    scores = np.hstack([distances for distances, _ in parts]).max(axis=1)
    alarms = np.hstack([alerts for _, alerts in parts]).any(axis=1)
    return list(zip(scores.tolist(), alarms.tolist(), strict=True))


def _distances(before: pd.DataFrame, live: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return, per window and measure, the distance from the mean of the reference's chunks in thresholds; alerts."""
    values = [name for name in live.columns if name[-1] == "value"]
    middle = before[values].mean()
    upper = [live[(*name[:-1], "upper_threshold")] - middle[name] for name in values]
    away = [live[name] - middle[name] for name in values]
    one_sided = [live[(*name[:-1], "lower_threshold")].isna().all() for name in values]
    far = [(each if side else each.abs()) / top for each, side, top in zip(away, one_sided, upper, strict=True)]
    alerts = [live[(*name[:-1], "alert")] for name in values]
    return np.array(far, dtype=float).T, np.array(alerts, dtype=bool).T


if __name__ == "__main__":
    main(score)
