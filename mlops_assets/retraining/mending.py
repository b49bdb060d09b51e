"""The champion's answers to the newest labelled rows -> whether a training would mend anything, by evidence alone.

A drift need not hurt the model, and rows may just be harder than they were; neither is mended by a training.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from mlops_assets.detection.relation import RelationEvidence, judge_relation
from mlops_assets.detection.verdict import Verdict
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.retraining.history import champion_act
from mlops_assets.retraining.reading import Reading
from mlops_assets.retraining.state import Champion
from mlops_assets.training.model import decode_spec, label_codes, to_matrix
from mlops_assets.training.reference import logged_scores
from mlops_assets.training.trainers import load_predictor


def idle(reading: Reading, segment: str, champion: Champion, window: str) -> str | None:
    """Return that a training on the labelled `window` would mend nothing; None if it would, or nobody can tell.

    The labelled window before it, if the champion did not learn from that one, has its say too.
    """
    act = champion_act(reading.acts(), segment)
    if act is None or act.record is None or window <= champion.window:
        return None
    heads = reading.heads(Stage.FEATURES, segment)
    later = sorted(each for each in heads if champion.window < each <= window)[-2:]
    key = (act.record, *(heads[each] for each in later))
    if key not in reading.mended:
        model, features = reading.held(act.record), [reading.held(record) for record in key[1:]]
        usable = [held for held in features if not held.record.failed and held.record.outputs[0].rows]
        verdict = relation(reading.product, reading.archive, model, usable)
        reading.mended[key] = verdict.words if verdict and verdict.state == "ok" else None
    return reading.mended[key]


def relation(product: ModelProduct, archive: Archive, champion: Held, features: Sequence[Held]) -> Verdict | None:
    """Return the relation's verdict on the last of `features`, labelled windows in a row, oldest first.

    None where the champion cannot answer them, because its features are others.
    """
    carried: RelationEvidence | None = None
    found: Verdict | None = None
    for held in features:
        answered = _answers(archive, champion, archive.table(held, "features"))
        if answered is None:
            return None
        inputs, codes, outputs, times = answered
        judged = judge_relation(inputs, codes, outputs, _blocks(product, times), product.label.kind, carried=carried)
        carried, found = judged.evidence, judged.verdict
    return found


def _blocks(product: ModelProduct, times: pl.Series) -> list[int]:
    """Return the monitoring window of each row, numbered; without windows all rows are in one."""
    if product.windows is None:
        return [0] * len(times)
    return product.grid.keys_of(times).rank("dense").to_list()


def _answers(
    archive: Archive, champion: Held, rows: pl.DataFrame
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray, pl.Series] | None:
    """Return inputs, labels as the model counts them, its answers, and the times of the rows whose label it knows."""
    spec = decode_spec(archive.data(champion, "spec"))
    if any(name not in rows.columns for name in spec.features):
        return None
    codes = label_codes(rows["_label"], spec)
    rows, codes = rows.filter(pl.Series(np.isfinite(codes))), codes[np.isfinite(codes)]
    scores = load_predictor(spec, archive.data(champion, "model"))(to_matrix(rows, spec))
    return rows.select(spec.features), codes, logged_scores(scores), rows["_time"]
