"""The paths where an endpoint says what it is: the protocols' metadata, MLflow's version, the OpenAPI document."""

from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from types import MappingProxyType

from mlops_assets.product import ModelProduct
from mlops_assets.serving.answering.infer import Inference
from mlops_assets.serving.answering.ways import Way
from mlops_assets.serving.description.document import document
from mlops_assets.serving.description.metadata import ModelReady, model, server, serving
from mlops_assets.serving.page.fields import Usual
from mlops_assets.serving.requests.http import Answer, Scope, json_answer
from mlops_assets.serving.requests.reading import version_of
from mlops_assets.serving.routing.router import Table

UsualOf = Callable[[Table], Awaitable[Mapping[str, Mapping[str, Usual]]]]


class Describing:
    """Describes what `inference` serves now, and what answers at `ways`."""

    def __init__(
        self, product: ModelProduct, inference: Inference, ways: Mapping[str, Way], usual: UsualOf | None
    ) -> None:
        """Describe the endpoint of `product`, with `usual` values in the examples."""
        self._usual = usual
        self._product = product
        self._inference = inference
        self._ways = {**ways, **self.ways()}
        self._mlflow = version("mlflow").encode()
        self._made: tuple[Table, Answer] | None = None

    def ways(self) -> dict[str, Way]:
        """Return what answers at which path."""
        path = f"/v2/models/{self._product.name}"
        return {
            "/v2": Way("GET", "metadata", "read", self._server),
            path: Way("GET", "metadata", "read", self._model),
            f"{path}/versions/*": Way("GET", "metadata", "read", self._version),
            f"{path}/versions/*/ready": Way("GET", "health", None, self._version_ready),
            "/openapi.json": Way("GET", "openapi", "read", self._openapi),
            "/version": Way("GET", "version", "read", self._mlflow_version),
        }

    async def _server(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return json_answer(server(self._product, self._inference.table))

    async def _model(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return json_answer(model(self._product, self._inference.table))

    async def _version(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        return json_answer(model(self._product, self._inference.table, version_of(scope["path"])))

    async def _version_ready(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        serving(self._inference.table, version_of(scope["path"]))
        return json_answer(ModelReady(self._product.name, True))

    async def _openapi(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        """Return the document; it is made anew when another deployment is served."""
        table = self._inference.table
        if self._made is None or self._made[0] is not table:
            usual = await self._usual(table) if self._usual else MappingProxyType[str, Mapping[str, Usual]]({})
            self._made = table, json_answer(document(self._product, table, self._ways, usual))
        return self._made[1]

    async def _mlflow_version(self, scope: Scope, body: bytes, began_ns: int) -> Answer:
        """Say which MLflow's formats `/invocations` takes, as MLflow's own server does."""
        return Answer(200, self._mlflow)
