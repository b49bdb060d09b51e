"""Who serves a segment, when and from which rows it was trained, and what of its recipe is no longer so."""

from datetime import datetime

import msgspec

from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import Json, Recipe, Record
from mlops_assets.evidence.step import NotReady, parse
from mlops_assets.evidence.traffic import gates_word
from mlops_assets.product import ModelProduct
from mlops_assets.retraining.history import champion_act
from mlops_assets.retraining.reading import Reading
from mlops_assets.retraining.state import Champion
from mlops_assets.settings import Settings
from mlops_assets.training.step import ModelStep

# of a recipe's params
PARTS = {"trainer": "trainer", "search": "search", "label": "label", "transform": "features", "inputs": "features"}


def serving_champion(
    product: ModelProduct, settings: Settings, reading: Reading, segment: str, now: datetime | None
) -> Champion | None:
    """Return the champion of a segment, or None before the first; without `now` nobody asks when it was made."""
    act = champion_act(reading.acts(), segment)
    if act is None or act.record is None:
        return None
    model = reading.held(act.record)
    policy = product.retrain
    return Champion(
        version=act.version or 0,
        window=parse(model.record.place.partition)[1],
        importance=msgspec.convert(model.record.facts["importance"], dict[str, float]),
        made=_made(product, act, model, now) if policy.every and now else None,
        changed=_changed(product, settings, reading, segment, model) if policy.on_new_recipe and now else (),
    )


def learned_rows(reading: Reading, segment: str) -> dict[str, int]:
    """Return how many rows of each window the champion learned from."""
    act = champion_act(reading.acts(), segment)
    sources = reading.held(act.record).record.inputs if act and act.record else []
    return {parse(each.place.partition)[1]: reading.held(each.record).record.outputs[0].rows or 0 for each in sources}


def _made(product: ModelProduct, act: Act, model: Held, now: datetime) -> datetime | None:
    """Return when the model was trained, in the product's time.

    Under a replayed clock the ledger's stamps are of another time: a model cannot be older than its labels, nor of the
    future, so the later one of both that has passed counts.
    """
    promoted = datetime.fromisoformat(act.at)
    if product.windows is None:
        return promoted if promoted <= now else None
    window = parse(model.record.place.partition)[1]
    learnable = product.windows.bounds(window)[1] + product.label.delay
    return max((at for at in (promoted, learnable) if at <= now), default=learnable)


def _changed(
    product: ModelProduct, settings: Settings, reading: Reading, segment: str, champion: Held
) -> tuple[str, ...]:
    """Return what of the recipe of the champion's own window has changed, until a candidate with all of it is judged.

    Rows are no part of it, nor are the gate and the length of monitoring windows: they ask for no other model.
    """
    step = ModelStep(product=product, archive=reading.archive, settings=settings)
    try:
        recipe = step.prepare(champion.record.place.partition).recipe
    except NotReady:
        return ()
    if not _differs(recipe, champion.record):
        return ()
    judged = [act for act in reading.acts() if gates_word(act) and act.segment == segment]
    tried = reading.held(judged[-1].record or champion.id).record if judged else champion.record
    return _differs(recipe, champion.record) if _differs(recipe, tried) else ()


def _differs(recipe: Recipe, record: Record) -> tuple[str, ...]:
    """Return which parts differ: trainer, label, features, seed, code."""
    params: dict[str, Json] = msgspec.to_builtins(recipe.params)
    found = [part for name, part in PARTS.items() if params.get(name) != record.params.get(name)]
    found += ["seed"] if recipe.seed != record.seed else []
    found += ["code"] if recipe.code != record.code.id else []
    return tuple(dict.fromkeys(found))
