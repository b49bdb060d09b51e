"""A model's pictures: small, well formed, and they say what they show."""

from xml.etree import ElementTree

import numpy as np
import pytest

from mlops_assets.evidence.ledger import Act, Ledger
from mlops_assets.training.intervals import Measured
from mlops_assets.training.pictures.confusion_plot import confusion_plot
from mlops_assets.training.pictures.curves import calibration, confusion, residuals, roc
from mlops_assets.training.pictures.plots import calibration_plot, importance_plot, residuals_plot, roc_plot
from mlops_assets.training.pictures.windows_plot import Point, held_out_facts, points, windows_plot


def words(svg: str) -> list[str]:
    """All text of a picture, which has to be one."""
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    return [each.text or "" for each in root.iter() if each.tag.endswith(("text", "title"))]


def scored(rows: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    scores = random.uniform(size=rows)
    return (random.random(rows) < scores).astype(float), scores


def test_the_roc_curve_says_its_auc_and_on_how_many_rows_and_stays_small():
    curve = roc(*scored())
    assert curve is not None

    svg = roc_plot(curve, auc=0.83214, rows=3000)

    assert {"ROC: AUC 0.8321", "3,000 held-out rows; dashed: guessing"} <= set(words(svg))
    assert len(svg) < 3000


def test_calibration_says_rows_of_each_bin():
    labels, scores = scored()

    svg = calibration_plot(calibration(labels == 1, scores), error=0.0123, of="good")

    assert "Calibration: error 0.0123" in words(svg)
    assert sum(" of 300" in each for each in words(svg)) == 10
    assert "mean score; up: share that is good; below: rows" in words(svg)
    assert len(svg) < 4000


def test_importance_shows_the_greatest_and_says_what_is_left_out():
    svg = importance_plot({f"f{place}<&>": (20 - place) / 210 for place in range(20)})

    assert "f0<&>" in words(svg)
    assert "f15<&>" not in words(svg)
    assert "share of what the model gains; 5 more features have 7.1%" in words(svg)


def test_a_confusion_matrix_shows_every_count_that_is_not_zero():
    svg = confusion_plot(np.array([[1234, 5], [0, 7]]), ["no", "yes"], said="rows")

    assert {"1,234", "5", "7", "no", "yes"} <= set(words(svg))
    assert "0" not in words(svg)


def test_of_many_classes_those_with_the_most_errors_are_shown_and_it_stays_small():
    random = np.random.default_rng(0)
    labels = random.integers(0, 30, 5000)
    chosen = np.where((labels >= 20) & (random.random(5000) < 0.5), random.integers(0, 30, 5000), labels)

    svg = confusion_plot(confusion(labels, chosen, 30), [f"class {place}" for place in range(30)], said="5,000 rows")

    assert "5,000 rows; 12 of 30 classes shown" in words(svg)
    assert sum(each.endswith(f"class {place}") for place in range(20, 30) for each in words(svg)) == 10
    assert len(svg) < 9000


@pytest.mark.parametrize("spread", [30.0, 0.0])
def test_residuals_say_their_rmse_even_where_the_label_is_constant(spread: float):
    actual = np.full(500, 7.0) + np.linspace(0, spread, 500)

    svg = residuals_plot(residuals(actual, actual + 1), rmse=1.0, rows=500)

    assert "Residuals: RMSE 1" in words(svg)
    assert "NaN" not in svg
    assert len(svg) < 8000


def registered(ledger: Ledger, segment: str, window: str, version: int, value: float) -> None:
    facts = {
        "window": window,
        **held_out_facts("auc", Measured(value=value, low=value - 0.1, high=1.0, labels=9, rows=9)),
    }
    act = Act(
        kind="register", product="p", segment=segment, version=version, record=f"r{version}", by="training",
        reason="", at="2026-01-20T00:00:00.000+00:00", facts=facts,
    )  # fmt: skip
    ledger.register(act)


def test_the_models_of_windows_and_segments_come_from_the_ledger_with_the_champion_marked(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for version, (segment, window) in enumerate([("b", "w2"), ("b", "w1"), ("a", "w1"), ("b", "w1")], start=1):
        registered(ledger, segment, window, version, 0.5 + version / 10)
    promoted = ledger.version("p", 4)
    assert promoted is not None
    ledger.move_champion(Act(**{**_fields(promoted), "kind": "promote"}), expected=None)

    found = points(ledger, "p", "auc")

    assert list(found) == ["a", "b"]
    assert [(p.window, p.version, p.champion) for p in found["b"]] == [("w1", 4, True), ("w2", 1, False)]
    assert points(ledger, "p", "accuracy") == {}
    told = words(windows_plot(found, metric="auc", floor=0.6, first="b"))
    assert {"auc of each window's model on its held-out rows", "a", "b", "@4"} <= set(told)


def _fields(act: Act) -> dict[str, object]:
    return {name: getattr(act, name) for name in act.__struct_fields__}


def test_many_windows_of_many_segments_stay_small_with_the_own_segment_first():
    each = [
        Point(window=f"2026-{w:02d}", version=w, value=0.9, low=0.8, high=0.95, champion=w == 40) for w in range(60)
    ]
    by_segment = {f"s{place}": each for place in range(9)}

    svg = windows_plot(by_segment, metric="auc", floor=0.6, first="s7")

    shown = [word for word in words(svg) if word in by_segment]
    assert shown == ["s7", "s0", "s1", "s2"]
    assert len(svg) < 12_000
