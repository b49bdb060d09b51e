"""Tables with somebody beside the champion, and models that fail or take their time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from mlops_assets.evidence.store import Store
from mlops_assets.product import ModelProduct
from mlops_assets.serving.requests.decoder import Decoded
from mlops_assets.serving.requests.forms import Form
from mlops_assets.serving.routing.deploy import Beside, Deployment, Route
from mlops_assets.serving.routing.lanes import Lane
from mlops_assets.serving.routing.router import Loader, Table
from mlops_assets.settings import Settings
from mlops_assets.training.predictor import Predictor, Score, Values
from mlops_assets_tests.serving.loans import LOANS, ROW

STICKY = LOANS.model_copy(update={"endpoint": LOANS.endpoint.model_copy(update={"sticky": "id"})})


def canary(route: Route, share: float, *, salt: str = "s", name: str = "canary") -> Beside:
    """A canary, split or shadow of a segment."""
    return msgspec.convert({"name": name, "route": route, "share": share, "salt": salt}, Beside, from_attributes=True)


def table_of(settings: Settings, champion: Route, *beside: Beside, product: ModelProduct = LOANS) -> Table:
    """A table of both segments of loans, where `beside` are beside the champion of `eu`."""
    deployment = Deployment(
        id="d1", product="loans", at="", routes={"eu": champion, "us": champion}, beside={"eu": list(beside)}
    )
    return Loader(product, Store(settings.home)).table(deployment)


@dataclass(frozen=True, kw_only=True)
class Acted:
    """A predictor that does something before it answers: raises, or waits."""

    behind: Predictor
    act: object

    @property
    def spec(self) -> object:
        return self.behind.spec

    def one(self, values: Values) -> Score:
        self.act()  # type: ignore[operator]
        return self.behind.one(values)

    def many(self, rows: Sequence[Values]) -> list[Score]:
        self.act()  # type: ignore[operator]
        return self.behind.many(rows)


def acting(table: Table, act: object, *, shadow: bool = False) -> Table:
    """The table, where the canary (or shadow) of `eu` acts before it answers."""
    lane = table.lanes["eu"]
    by = lane.shadow if shadow else lane.rival
    assert by is not None
    acted = replace(by, model=replace(by.model, predictor=Acted(behind=by.model.predictor, act=act)))  # type: ignore[arg-type]
    changed: Lane = replace(lane, shadow=acted) if shadow else replace(lane, rival=acted)
    return replace(table, lanes={**table.lanes, "eu": changed})


def row_form(**changes: object) -> Form:
    """A plain row."""
    row = ROW | changes
    return Form("row", msgspec.json.encode(row), row["region"], [], None)


def rows_form(keys: Sequence[object]) -> Form:
    """A batch of rows, one of each key."""
    return Form("rows", b"", None, [{**ROW, "id": key} for key in keys], None)


def decoded(key: str | None) -> Decoded:
    """A row as the champion reads it."""
    return Decoded((40, 2500.5, "nurse"), key)
