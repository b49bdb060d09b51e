"""A product's history made by calling its steps in a script: the work of `backfill` without Dagster and MLflow."""

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.step import parse
from mlops_assets.intake.ingest import ingest
from mlops_assets.operations.flow import step
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.serving.steps import EndpointStep
from mlops_assets.settings import Settings
from mlops_assets.windows import ALL


def history(settings: Settings, name: str) -> int:
    """Make the data of every partition, then a model of each segment, promoted and deployed; return the partitions."""
    product, archive = read_catalogue(settings.defs).product(name), Archive(settings.home)
    found = sorted(ingest(archive, product, settings).partitions, key=lambda partition: parse(partition)[::-1])
    for partition in found:
        for stage in DATA:
            step(stage, product, settings).make(partition)
    newest = {parse(partition)[0]: partition for partition in found}
    for version, partition in enumerate(newest.values(), start=1):
        register(archive, product, step(Stage.MODEL, product, settings).make(partition), version)
        step(Stage.CHAMPION, product, settings).make(partition)
        EndpointStep(product=product, archive=archive, settings=settings).make(ALL)
    return len(found)


def register(archive: Archive, product: ModelProduct, model: Held, version: int) -> Act:
    """Register a model as `version` of its segment, and return the act."""
    segment, _ = parse(model.record.place.partition)
    act = Act(
        kind="register",
        product=product.name,
        segment=segment,
        version=version,
        record=model.id,
        by="training",
        reason="benchmark",
        at=model.envelope.at,
    )
    archive.ledger.register(act)
    return act
