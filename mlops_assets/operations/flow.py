"""The steps of a product by stage, over one deployment's evidence."""

from collections.abc import Mapping

from mlops_assets.annotations.step import AnnotationsStep
from mlops_assets.dataset.step import DatasetStep
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.step import Step
from mlops_assets.features.step import FeaturesStep
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.registry.step import ChampionStep
from mlops_assets.settings import Settings
from mlops_assets.training.step import ModelStep

STEPS: Mapping[Stage, type[Step]] = {
    Stage.ANNOTATIONS: AnnotationsStep,
    Stage.DATASET: DatasetStep,
    Stage.FEATURES: FeaturesStep,
    Stage.MODEL: ModelStep,
    Stage.CHAMPION: ChampionStep,
}


def step(stage: Stage, product: ModelProduct, settings: Settings) -> Step:
    """Return the step that makes `stage` of `product`."""
    return STEPS[stage](product=product, archive=Archive(settings.home), settings=settings)
