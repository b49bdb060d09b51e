"""whylogs 1.6.4: its drift scores at its defaults (KS for numbers, chi-square for text; drift below p = 0.05).

Its `viz` package wants IPython although the scores do not, so it is entered without its `__init__`; numpy 2 has no
`unicode_`, which it asks for where there is text.
"""

import importlib.util
import os
import sys
import types

import numpy as np
from windows import Scored, Windows, main


def score(windows: Windows) -> list[Scored]:
    """Return the smallest p-value of all columns on a log scale, and whether any column is drift."""
    os.environ["WHYLOGS_NO_ANALYTICS"] = "1"
    np.unicode_ = np.str_
    import whylogs

    viz = types.ModuleType("whylogs.viz")
    viz.__path__ = [os.path.join(os.path.dirname(importlib.util.find_spec("whylogs").origin), "viz")]
    sys.modules["whylogs.viz"] = viz
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

    reference = whylogs.log(windows.reference).view()
    found = []
    for live in windows.live:
        scores = calculate_drift_scores(whylogs.log(live).view(), reference, with_thresholds=True)
        known = [each for each in scores.values() if each is not None]
        least = min(each["pvalue"] for each in known)
        found.append((-np.log10(max(least, 1e-300)), any(each["drift_category"] == "DRIFT" for each in known)))
    return found


if __name__ == "__main__":
    main(score)
