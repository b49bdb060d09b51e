"""A window's rows -> those that speak for its judged model: its own, and what it would have said beside a canary.

Who answers is drawn by chance, so inputs are judged on everybody's rows; the scores of a canary or split are its own
affair, and its rows are scored again by the judged model. With its whole traffic on a canary a window is judged too.
"""

from collections.abc import Collection

import polars as pl

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.features.transform import Transform
from mlops_assets.intake.functions import BROKEN_CODE
from mlops_assets.serving.log.parity import restored
from mlops_assets.serving.log.sealed import CHAMPION, DIGEST, FEATURE, INPUT, completed
from mlops_assets.training.model import ModelSpec, decode_spec
from mlops_assets.training.predictor import Predictor


def predictions_of(archive: Archive, sealed: Held) -> pl.DataFrame:
    """Return a window's predictions, with all columns of today."""
    return completed(archive.table(sealed, "predictions"))


def champions(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that a champion answered."""
    return rows.filter(pl.col("variant") == CHAMPION)


def speaking(
    archive: Archive, model: Held, version: int, rows: pl.DataFrame, *, personal: Collection[str] = ()
) -> pl.DataFrame:
    """Return the rows that `model` answered as `version`, and those of canary or split, scored again by it.

    The latter are left out where it cannot read them, and where it reads a `personal` column, which the log does not
    keep. What a champion before or after it answered is not among them.

    Raises:
        BrokenEvidence: If the model is missing or changed.
    """
    mine = rows.filter(pl.col("version") == version)
    if DIGEST in mine.columns:
        mine = restored(mine, decode_spec(archive.data(model, "spec")))
    others = rows.filter((pl.col("variant") != CHAMPION) & (pl.col("version") != version))
    if not others.height:
        return mine
    spec = decode_spec(archive.data(model, "spec"))
    if set(personal) & set(spec.inputs):
        return mine
    again = _scored_again(spec, archive.data(model, "model"), others)
    return mine if again is None else pl.concat([mine, again], how="diagonal_relaxed").sort("inference_id")


def _scored_again(spec: ModelSpec, model: bytes, rows: pl.DataFrame) -> pl.DataFrame | None:
    """Return rows with the features and the output that a model makes of their inputs; None if it cannot."""
    if not {INPUT + name for name in spec.inputs} <= set(rows.columns):
        return None
    inputs = rows.select(pl.col(INPUT + name).alias(name) for name in spec.inputs)
    try:
        features = Transform(spec.transform or spec.features).computed(inputs)
        scores = Predictor(spec, model).many(inputs.rows())
    except (*BROKEN_CODE, pl.exceptions.PolarsError):
        return None
    made = features.select(pl.col(name).alias(FEATURE + name) for name in spec.features)
    output = pl.Series("output", [score.output for score in scores], pl.Float64)
    kept = rows.select(name for name in rows.columns if not name.startswith(FEATURE))
    return kept.with_columns(output).hstack(made)
