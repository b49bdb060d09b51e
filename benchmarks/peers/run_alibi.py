"""Alibi Detect 0.13.0: TabularDrift at its defaults (KS and chi-square, Bonferroni, p = 0.05)."""

import numpy as np
import pandas as pd
from windows import Scored, Windows, main


def score(windows: Windows) -> list[Scored]:
    """Return the smallest p-value of all columns on a log scale, and whether it is drift."""
    from alibi_detect.cd import TabularDrift

    places = {len(windows.numbers) + i: None for i in range(len(windows.texts))}
    levels = sorted({level for name in windows.texts for level in windows.reference[name]})
    detector = TabularDrift(_matrix(windows.reference, windows, levels), categories_per_feature=places)
    found = []
    for live in windows.live:
        said = detector.predict(_matrix(live, windows, levels))["data"]
        found.append((-np.log10(np.maximum(np.nanmin(said["p_val"]), 1e-300)), bool(said["is_drift"])))
    return found


def _matrix(frame: pd.DataFrame, windows: Windows, levels: list[str]) -> np.ndarray:
    """Return the columns as numbers; a level that the reference has not is one more."""
    codes = {level: code for code, level in enumerate(levels)}
    texts = [frame[name].map(codes).fillna(len(levels)) for name in windows.texts]
    return np.column_stack([*(frame[name] for name in windows.numbers), *texts]).astype(float)


if __name__ == "__main__":
    main(score)
