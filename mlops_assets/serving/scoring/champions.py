"""The desired deployment -> who answers for each segment, with the model loaded from its record."""

from pathlib import Path
from typing import NamedTuple

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.step import NotReady
from mlops_assets.intake.image_files import own_folder
from mlops_assets.product import ModelProduct
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.serving.scoring.answering import Answerer
from mlops_assets.serving.scoring.fitting import Files
from mlops_assets.serving.scoring.keeping import keeping_of
from mlops_assets.serving.scoring.placing import zone_of
from mlops_assets.settings import Settings
from mlops_assets.training.model import decode_spec


class Answering(NamedTuple):
    """The record of the model that answers, and that of the deployment which says so."""

    record: str
    deployment: str


def champions(folder: Path) -> dict[str, Answering]:
    """Return who answers for each segment: who the endpoint of the product at `folder` answers with, or would."""
    deployed = read_deployment(folder)
    routes = deployed.routes if deployed else {}
    return {segment: Answering(route.record, deployed.id) for segment, route in routes.items() if deployed}


def answerer(settings: Settings, product: ModelProduct, segment: str, by: Answering, table: Path) -> Answerer:
    """Return the model of `by` as who answers for `segment`; images that `table` names lie where it does.

    Raises:
        NotReady: If the model is no version of the product.
    """
    archive, image = Archive(settings.home), product.source.image
    acts = archive.ledger.acts(product.name, "register")
    version = next((act.version for act in acts if act.record == by.record), None)
    if version is None:
        raise NotReady(f"{product.name}: the model in record {by.record[:12]}… is no version; materialize its champion")
    model = archive.held(by.record)
    source = product.source.model_copy(update={"path": str(table)})
    return Answerer(
        product=product.name,
        segment=segment,
        version=version,
        record=by.record,
        deployment=by.deployment,
        spec=decode_spec(archive.data(model, "spec")),
        model=archive.data(model, "model"),
        keeping=keeping_of(product, settings),
        zone=zone_of(product),
        files=Files(image=image, folder=own_folder(source, Path(), Path())) if image else None,
    )
