"""mlops_assets: a model product's whole production life as one Dagster asset graph."""


def __getattr__(name: str) -> object:
    """Return the component `ModelProduct`, so that `type: mlops_assets.ModelProduct` needs no import at load."""
    if name == "ModelProduct":
        from mlops_assets.components.model_product import ModelProductComponent

        return ModelProductComponent
    raise AttributeError(f"module 'mlops_assets' has no attribute {name!r}")
