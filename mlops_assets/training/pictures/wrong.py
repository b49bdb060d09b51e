"""A model's held-out images that it answers wrongly -> one picture of them, the surest first."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlops_assets.chart import FAINT, LIVE, RULE, SIZE, box, picture, text
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.intake.images import pixels as decoded
from mlops_assets.intake.images import png
from mlops_assets.training.model import Matrix, ModelSpec, label_names

MOST, ACROSS = 40, 8
SIDE, GAP, TOP = 72, 24, 56  # px
LONGEST = 15  # characters of a word below an image


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A wrong answer: the item's key, its image as PNG, what was said and what is right; `score` is in [0, 1]."""

    key: str
    image: bytes
    said: str
    right: str
    score: float


def wrong_answers(found: Sequence[Wrong], rows: int) -> str:
    """Return the surest 40 of the wrong answers as SVG, each image enlarged; `rows` is how many were held out."""
    surest = sorted(found, key=lambda each: (-each.score, each.key))[:MOST]
    some = f"; the surest {len(surest)} of them" if len(surest) < len(found) else ""
    parts = [
        text(12, 17, f"Wrong answers: {len(found):,} of {rows:,} held-out images", weight=600, size=13),
        text(12, 33, f"below each: said, and what is right; the score of what was said{some}", colour=FAINT),
    ]
    cell = SIDE + GAP
    for place, each in enumerate(surest):
        parts.append(_drawn(each, 12 + cell * (place % ACROSS), TOP + (cell + 2 * SIZE) * (place // ACROSS)))
    height = TOP + (cell + 2 * SIZE) * -(-len(surest) // ACROSS)
    return picture(12 + cell * ACROSS, height, parts, title=f"{len(found)} wrong answers")


def wrong_pictures(
    archive: Archive, held: Held, spec: ModelSpec, holdout: pl.DataFrame, scores: Matrix
) -> dict[str, str]:
    """Return the picture `wrong answers` of a classifier of images; nothing of any other model.

    `scores`, shape (rows,) or (rows, classes), are what the model says of the rows of `holdout`.
    """
    column = next((name for name, each in spec.inputs.items() if each.type == "image"), None)
    if column is None or spec.task == "regression":
        return {}
    cut = spec.threshold or 0.5
    chosen = scores.argmax(axis=1) if scores.ndim == 2 else (scores >= cut).astype(np.int64)
    sure = scores.max(axis=1) if scores.ndim == 2 else np.where(chosen, scores, 1 - scores)
    said = pl.Series([spec.classes[code] for code in chosen])
    told = holdout.select("_key", right=label_names(holdout["_label"]), said=said, score=pl.Series(sure))
    wrong = told.filter(pl.col("said").ne_missing(pl.col("right")))
    images = pl.concat([_images(archive, each.record, column, wrong["_key"]) for each in held.record.inputs])
    height, width, channels = spec.inputs[column].shape or (0, 0, 1)
    found = [
        Wrong(key=key, image=png(decoded(file, (height, width, channels))), said=said, right=right, score=score)
        for key, right, said, score, file in wrong.join(images, on="_key", maintain_order="left").iter_rows()
    ]
    return {"wrong answers": wrong_answers(found, holdout.height)}


def _images(archive: Archive, features: str, column: str, keys: pl.Series) -> pl.DataFrame:
    """Return key and image of those `keys` that are in the dataset behind a record of features."""
    dataset = archive.held(archive.held(features).record.inputs[0].record)
    return archive.table(dataset, "dataset").filter(pl.col("_key").is_in(keys.implode())).select("_key", column)


def _drawn(each: Wrong, x: float, y: float) -> str:
    data = b64encode(each.image).decode()
    sized = f'x="{x:g}" y="{y:g}" width="{SIDE}" height="{SIDE}" style="image-rendering:pixelated"'
    return "".join(
        (
            f'<image {sized} href="data:image/png;base64,{data}"/>',
            box(x, y, SIDE, SIDE, "none", edge=RULE, title=each.key),
            text(x, y + SIDE + 14, f"{_cut(each.said)}, right: {_cut(each.right)}", colour=LIVE, weight=600),
            text(x, y + SIDE + 28, f"{each.score:.2f}  {_cut(each.key)}", colour=FAINT, size=9),
        )
    )


def _cut(words: str) -> str:
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"
