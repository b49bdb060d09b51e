"""A window with drift -> where its shift entered, from what evidence holds of the window's time.

Only drift is looked into, so a quiet window costs nothing. The record of the verdict keeps what was known then and
names the records that were read. They are state, and not in its recipe: else the source's next rows would make every
verdict stale. `origin_now` asks again with what has come since: the source's rows of that time, and the dataset.
"""

from collections.abc import Sequence

import msgspec
import polars as pl

from mlops_assets.detection.finding import Ancestor, Finding, Origin, unknown
from mlops_assets.detection.origin import origin
from mlops_assets.detection.verdict import Verdict
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import BrokenEvidence, Place
from mlops_assets.evidence.step import parse
from mlops_assets.monitoring.ancestors import Case, CodeFails, OfSource, features_of, made_of, of_source, read_case
from mlops_assets.monitoring.row_by_row import compared
from mlops_assets.monitoring.same_test import Window, as_finding, finding_of
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.log.sealed import INPUT
from mlops_assets.training.built import KEYS
from mlops_assets.training.model import to_matrix
from mlops_assets.training.reference import PREDICTION, logged_scores
from mlops_assets.training.trainers import load_predictor

EXPLAINED = ("data", "joint", "prediction")  # a changed schema says itself what it is; a concept has no other place
FLOW: tuple[Ancestor, ...] = ("source", "dataset", "features", "requests", "logged features", "outputs")


def origin_now(product: ModelProduct, archive: Archive, partition: str) -> Origin | None:
    """Return where the shift of a judged window entered, by today's evidence; None if its verdict is not drift."""
    drift = archive.head(Place(product=product.name, stage=Stage.DRIFT, partition=partition))
    if drift is None:
        return None
    counted = [each.record for each in drift.record.inputs if each.place.stage == Stage.PROFILE]
    verdict = msgspec.json.decode(archive.data(drift, "verdict"), type=Verdict)
    return origin_of(product, archive, archive.held(counted[0]), verdict) if counted else None


def origin_of(product: ModelProduct, archive: Archive, counted: Held, verdict: Verdict) -> Origin | None:
    """Return where the shift behind `verdict` on the profile `counted` entered; None if there is none to explain."""
    if verdict.state != "drift" or verdict.kind not in EXPLAINED:
        return None
    if product.endpoint.personal:
        return unknown(f"the log does not hold {', '.join(product.endpoint.personal)}, so no ancestor is compared")
    try:
        case = read_case(product, archive, counted, verdict)
        adopted = unknown("the model was adopted, and nobody knows the rows that it learned from")
        return _explained(case) if case.trained.datasets else adopted
    except (BrokenEvidence, CodeFails) as problem:  # the verdict stands all the same
        return unknown(str(problem))


def _explained(case: Case) -> Origin:
    newest = case.archive.table(case.trained.datasets[-1], "dataset").select(list(case.spec.inputs))
    made = made_of(case.spec, case.served[-1].requests, newest)
    moved = [shift.column for shift in case.verdict.columns if shift.column != PREDICTION]
    alone = bool(moved) and case.verdict.kind == "data"  # else it is how columns go together: all of them are asked
    fed = {name for feature in moved for name in made.get(feature, ())}
    counted = [name for name, column in case.spec.inputs.items() if column.type not in ("datetime", "image")]
    requests = _requests(case, [name for name in counted if name in fed or not alone])
    together = not requests.moved or requests.kind != "data"
    upstream = [name for name in requests.asked if together or name in requests.moved]
    rows = [each for each in of_source(case) if each.rows.height]
    tests = [
        *_offline(case, rows, upstream, moved if alone else case.spec.features),
        requests,
        *_as_source(case, rows),
        as_finding("logged features", case.verdict, case.spec.features, []),
        *_as_code_makes(case, newest),
        *([] if moved else [_as_model_says(case)]),
    ]
    return origin(sorted(tests, key=lambda each: (FLOW.index(each.ancestor), each.how)), made)


def _requests(case: Case, asked: Sequence[str]) -> Finding:
    """Return whether the raw inputs moved; where they are the features, the verdict has said so."""
    read = [each.held.as_input() for each in case.served]
    if case.spec.transform is None:
        verdict = case.verdict
        columns = tuple(shift for shift in verdict.columns if shift.column != PREDICTION)
        if not columns:
            verdict = msgspec.structs.replace(verdict, state="ok", p_value=None, words="no input moved")
        return as_finding("requests", msgspec.structs.replace(verdict, columns=columns), asked, read)
    if not asked:
        return as_finding("requests", _silent("times and images are not counted, so they are not tested"), (), read)
    trained = pl.concat(case.archive.table(each, "dataset") for each in case.trained.datasets)
    windows = [case.window(each, each.requests) for each in case.served]
    return finding_of("requests", windows, case.reference(trained, asked), asked, read)


def _offline(case: Case, rows: Sequence[OfSource], asked: Sequence[str], features: Sequence[str]) -> list[Finding]:
    """Return what the source's rows of the window's time say, and what became of them on the way to training."""
    if not rows or not asked:
        why = _awaited(case) if asked else "no column of it that the features read is counted"
        return [as_finding("source", _silent(why), asked, [])]
    if not case.trained.sources:
        return [as_finding("source", _silent("it had no rows of the windows that the model was trained on"), asked, [])]
    trained = pl.concat(case.archive.table(each, "rows") for each in case.trained.sources)
    windows = [case.window(each.served, each.rows) for each in rows]
    read = [each.held.as_input("rows") for each in rows]
    source = finding_of("source", windows, case.reference(trained, asked), asked, read)
    return [source, _of_dataset(case, rows, asked), _of_features(case, rows, features)]


def _of_dataset(case: Case, rows: Sequence[OfSource], asked: Sequence[str]) -> Finding:
    """Return whether those of the source's rows moved that the dataset kept: labelled, and not quarantined."""
    kept = [(each, held) for each in rows if (held := case.head(Stage.DATASET, each.served)) is not None]
    if not kept:
        return as_finding("dataset", _silent(_due(case)), asked, [])
    trained = pl.concat(case.archive.table(each, "dataset") for each in case.trained.datasets)
    windows = [_kept(case, each, case.archive.table(held, "dataset")) for each, held in kept]
    return finding_of("dataset", windows, case.reference(trained, asked), asked, [held.as_input() for _, held in kept])


def _of_features(case: Case, rows: Sequence[OfSource], asked: Sequence[str]) -> Finding:
    """Return whether the features moved that training makes of the source's rows."""
    kept = [(each, held) for each in rows if (held := case.head(Stage.FEATURES, each.served)) is not None]
    if not kept:
        return as_finding("features", _silent(_due(case)), asked, [])
    windows = [_kept(case, each, case.archive.table(held, "features")) for each, held in kept]
    return finding_of("features", windows, case.known, asked, [held.as_input() for _, held in kept])


def _kept(case: Case, part: OfSource, table: pl.DataFrame) -> Window:
    return case.window(part.served, table.join(part.rows, on="_key", how="semi", maintain_order="left"))


def _as_source(case: Case, rows: Sequence[OfSource]) -> list[Finding]:
    """Return whether the last window's requests are what the source holds under the same keys."""
    latest = next((each for each in rows if each.served is case.served[-1]), None)
    if latest is None:
        return []
    sent = latest.served.rows.drop_nulls("key").unique("key", keep="last", maintain_order=True)
    both = sent.join(latest.rows, left_on="key", right_on="_key", how="inner", maintain_order="left")
    if not both.height:
        return []
    inputs = list(case.spec.inputs)
    ours = both.select(pl.col(f"{INPUT}{name}").alias(name) for name in inputs)
    read = [latest.held.as_input("rows")]
    return [compared("requests", ours, both.select(inputs), from_what="the source's", read=read)]


def _as_code_makes(case: Case, newest: pl.DataFrame) -> list[Finding]:
    """Return whether the code of today makes training's features of training's rows, and the endpoint's of requests."""
    if case.spec.transform is None:
        return []
    trained, live = case.trained.features[-1], case.served[-1]
    then, now = case.archive.table(trained, "features").drop(KEYS), features_of(case.spec, newest)
    here = features_of(case.spec, live.requests)
    return [
        compared("features", now, then, from_what="what training made", read=[trained.as_input()]),
        compared("logged features", live.features, here, from_what="what its code makes here"),
    ]


def _as_model_says(case: Case) -> Finding:
    """Return whether the logged outputs are those of the stored model for the logged features."""
    live = case.served[-1]
    scores = load_predictor(case.spec, case.archive.data(case.model, "model"))(to_matrix(live.features, case.spec))
    said = pl.Series(logged_scores(scores), dtype=pl.Float64)
    logged = live.rows.select(pl.col("output").alias(PREDICTION))
    return compared("outputs", logged, said.to_frame(PREDICTION), from_what="what the model says here")


def _silent(why: str) -> Verdict:
    return Verdict(state="cannot tell", kind="data", p_value=None, rows=0, windows=0, words=why)


def _awaited(case: Case) -> str:
    """Return why the source has no rows of the window's time, and when it may."""
    grid, key = case.product.windows, case.served[-1].key
    if grid is None:
        return "it has no time to tell its rows of that window by"
    if not grid.holds(case.product.grid.bounds(key)[0]):
        return f"it ends before {key}"
    return f"it holds no rows of {key} yet; {_due(case)}"


def _due(case: Case) -> str:
    """Return when the dataset of the window's time can be made."""
    assert case.product.windows is not None
    window = parse(case.partition(case.served[-1]))[1]
    due = case.product.windows.bounds(window)[1] + case.product.label.delay
    return f"the dataset of {window} is made when its labels are due ({due.isoformat(timespec='minutes')})"
