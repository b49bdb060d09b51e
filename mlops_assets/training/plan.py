"""A declaration -> what a training is asked to do. It is all that a model's recipe has of the declaration."""

from mlops_assets.parts import Part
from mlops_assets.product import ModelProduct
from mlops_assets.rules import TRAINERS, Compute, Scalar, Search, Trainer
from mlops_assets.training.model import Task
from mlops_assets.windows import Grid


class Plan(Part):
    """What a training is asked to do, apart from its rows and its seed.

    With `search` the trainers and parameters are its. `metric` has to reach `floor`; `threshold` goes into the model's
    spec, and `monitor` cuts its reference where rows have a time.
    """

    trainer: Trainer
    search: Search | None = None
    label: Task
    metric: str
    floor: float
    threshold: float | None = None
    monitor: Grid | None = None
    transform: str | None = None
    gpus: int = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """The trainers that it may use, each once."""
        return tuple(dict.fromkeys(each.kind for each in self.search.trainers)) if self.search else (self.trainer.kind,)

    @property
    def own_modules(self) -> tuple[str, ...]:
        """The modules of those that are functions of the user's own."""
        return tuple(sorted({kind.rpartition(".")[0] for kind in self.kinds if kind not in TRAINERS}))


def plan_of(product: ModelProduct, segment: str) -> Plan:
    """Return what the training of a segment is asked to do; it computes on as many threads as it has whole CPUs."""
    compute = product.compute.of(segment)
    trainer = product.trainer
    return Plan(
        trainer=trainer.model_copy(update={"params": {**_threads(trainer.kind, compute), **trainer.params}}),
        search=product.search and _threaded(product.search, compute),
        label=product.label.kind,
        metric=product.gate.metric,
        floor=product.gate.floor,
        threshold=product.decide.threshold if product.decide else None,
        monitor=product.grid if product.windows else None,
        transform=product.features if isinstance(product.features, str) else None,
        gpus=compute.gpu,
    )


def _threaded(search: Search, compute: Compute) -> Search:
    trainers = tuple(
        each.model_copy(update={"params": {**_threads(each.kind, compute), **each.params}}) for each in search.trainers
    )
    return search.model_copy(update={"trainers": trainers})


def _threads(kind: str, compute: Compute) -> dict[str, Scalar]:
    """Return the parameter that says how many; it is in the recipe, as another number may make other bytes."""
    return {"num_threads": int(compute.cpu)} if compute.cpu >= 2 and kind in TRAINERS else {}
