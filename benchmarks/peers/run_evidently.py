"""Evidently 0.7.23: the scores of its DataDriftPreset at its defaults, through the tests that the preset calls.

The preset itself takes twenty times as long, most of it for plots; the last window of a stream goes through both, and
has to agree. An alarm is any drifted column: its own verdict on the whole table asks for half of all columns.
"""

import numpy as np
import pandas as pd
from windows import Scored, Windows, main


def score(windows: Windows) -> list[Scored]:
    """Return the largest column score in units of its threshold, and whether any column reaches it."""
    from evidently.legacy.calculations.stattests import get_stattest

    kinds = {**dict.fromkeys(windows.numbers, "num"), **dict.fromkeys(windows.texts, "cat")}
    reference, first = windows.reference, windows.live[0]
    tests = {name: get_stattest(reference[name], first[name], kind, None) for name, kind in kinds.items()}
    found: list[Scored] = []
    for live in windows.live:
        tested = [test(reference[name], live[name].dropna(), kinds[name], None) for name, test in tests.items()]
        worst = max(each.drift_score / each.actual_threshold for each in tested)
        found.append((worst, any(each.drifted for each in tested)))
    expected = _preset(windows, live)
    if not np.allclose([expected[name] for name in tests], [each.drift_score for each in tested]):
        raise RuntimeError(f"the preset's scores are {expected}, its tests' {tested}")
    return found


def _preset(windows: Windows, live: pd.DataFrame) -> dict[str, float]:
    """Return what the preset itself says of each column."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    columns = DataDefinition(numerical_columns=windows.numbers, categorical_columns=windows.texts)
    both = (Dataset.from_pandas(each, columns) for each in (live, windows.reference))
    metrics = Report([DataDriftPreset()]).run(*both).dict()["metrics"]
    return {each["config"]["column"]: float(each["value"]) for each in metrics if "column" in each["config"]}


if __name__ == "__main__":
    main(score)
