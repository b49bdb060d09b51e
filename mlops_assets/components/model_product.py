"""`type: mlops_assets.ModelProduct`: the declaration as a Dagster component. Its schema is the declaration itself."""

from typing import Self

import dagster as dg
from pydantic import BaseModel

from mlops_assets.graph import build_definitions
from mlops_assets.product import ModelProduct
from mlops_assets.settings import load_settings


class ModelProductComponent(dg.Component):
    """A model product's whole production life, from twenty lines of YAML."""

    def __init__(self, product: ModelProduct) -> None:
        """Take the validated declaration."""
        self.product = product

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the declaration, which is the component's schema."""
        return ModelProduct

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Return the component for validated attributes."""
        if not isinstance(attributes, ModelProduct):
            raise TypeError(f"{context.path}: found no attributes; a model product needs name, source, label, features")
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the product's graph."""
        return build_definitions(self.product, load_settings())
