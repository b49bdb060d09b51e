"""A logged prediction and the model that gave it -> the answer computed again from the logged input."""

from collections.abc import Iterator

import polars as pl

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.lineage.predictions import Found
from mlops_assets.lineage.retrained import CannotReplay, Compared
from mlops_assets.serving.log.ids import parse, text
from mlops_assets.serving.log.keeping import features_digest
from mlops_assets.serving.log.personal import HASHED
from mlops_assets.serving.log.sealed import CHAMPION, DIGEST, FEATURE, INPUT, completed, find_request
from mlops_assets.serving.scoring.answering import BLOCK
from mlops_assets.settings import Settings
from mlops_assets.training.model import decode_spec
from mlops_assets.training.predictor import Predictor, Score


def recomputed(settings: Settings, archive: Archive, found: Found, model: Held) -> Compared:
    """Return the answer of `model` to the logged input, beside the logged answer.

    A row of a batch is scored among the rows that it came with, as the endpoint did.

    Raises:
        CannotReplay: If the model's trainer or features function cannot be found.
        BrokenEvidence: If the model is missing or changed.
    """
    try:
        predictor = Predictor(decode_spec(archive.data(model, "spec")), archive.data(model, "model"))
    except LookupError as problem:
        raise CannotReplay(f"{model.record.place}: {problem.args[0]}") from problem
    name = str(found.row["inference_id"])
    rows = _answered_together(settings, archive, found, name)
    if hidden := [each for each in predictor.spec.inputs if INPUT + each not in rows.columns]:
        columns = ", ".join(f"{each} ({'hashed' if HASHED + each in rows.columns else 'left out'})" for each in hidden)
        why = f"the log does not hold what the model read: {columns}; personal columns cannot be replayed from it"
        raise CannotReplay(f"{name}: {why}")
    logged = rows.row(rows["inference_id"].to_list().index(name), named=True)
    score = _score(predictor, rows, name, float(logged["output"]))
    differs = [*_features(predictor, score, logged), *_digest(predictor, score, logged)]
    if not _same(score.output, logged["output"]):
        differs.append(f"output was {logged['output']!r}, is {score.output!r}")
    by = "" if found.variant == CHAMPION else f", by the {found.variant}"
    return Compared(same=[] if differs else [f"output: {score.output!r}{by}"], differs=differs)


def _answered_together(settings: Settings, archive: Archive, found: Found, name: str) -> pl.DataFrame:
    """Return the rows of the same request that the same model answered, in the order of the request."""
    request = parse(name).request
    if found.sealed is None:
        rows = find_request(settings.serving(found.product.name), found.product.grid, request)
        rows = rows if rows.height else pl.DataFrame([dict(found.row)])  # scored by hand, and not sealed yet
    else:
        archive.data(found.sealed, found.output)  # compared; of what it holds only the request's rows are read
        first, last = text(request), f"{text(request)}/"  # the one character after the full stop of "<id>.<row>"
        mine = pl.col("inference_id").is_between(pl.lit(first), pl.lit(last))
        rows = archive.scan(found.sealed, found.output, lambda table: table.filter(mine))
    rows = completed(rows).filter(version=found.version, segment=str(found.row["segment"]), variant=found.variant)
    place = pl.col("inference_id").str.split(".").list.get(1, null_on_oob=True).cast(pl.Int64)
    return rows.sort(place)


def _score(predictor: Predictor, rows: pl.DataFrame, name: str, logged: float) -> Score:
    """Return the score of the row called `name`. A row that came alone was scored so, as a batch, or in a table."""
    values = rows.select(INPUT + each for each in predictor.spec.inputs).rows()
    if parse(name).row is None:
        either = (predictor.one(values[0]), *predictor.many(values), *predictor.many(values * BLOCK))
        return next((score for score in either if _same(score.output, logged)), either[0])
    return predictor.many(values)[rows["inference_id"].to_list().index(name)]


def _features(predictor: Predictor, score: Score, logged: dict[str, object]) -> Iterator[str]:
    """Yield the features that the function makes otherwise now: then its code has changed under an old name."""
    for name, value in zip(predictor.spec.features, score.features or (), strict=False):
        if logged.get(FEATURE + name) is None and logged.get(DIGEST) is not None:
            continue
        if not _same(value, logged.get(FEATURE + name)):
            made = f"{predictor.spec.transform} is not as it was"
            yield f"feature {name} was {logged.get(FEATURE + name)!r}, is {value!r}: {made}"


def _digest(predictor: Predictor, score: Score, logged: dict[str, object]) -> Iterator[str]:
    """Yield that the features are others, where the log holds no more than their hash."""
    if logged.get(DIGEST) is not None and features_digest(score.features or ()).hex() != logged[DIGEST]:
        yield f"the features have another hash: {predictor.spec.transform} is not as it was"


def _same(one: object, other: object) -> bool:
    return one == other or (one != one and other != other)
