"""An alert: something that a person should know, in one sentence, with its evidence and where to look."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import quote

from mlops_assets.evidence.records import Struct

Severity = Literal["error", "warning"]
EVERYTHING = "*"  # the product of what concerns the whole deployment; no product can be called that


class Alert(Struct, frozen=True, kw_only=True):
    """One condition. `id` is the same as long as the condition is; `record` is the evidence, where a record shows it.

    `link` is an address of Dagster's UI, or a command where no page shows the thing.
    """

    id: str
    product: str
    segment: str | None
    kind: str
    severity: Severity
    words: str
    record: str | None = None
    link: str

    @property
    def group(self) -> str:
        """What is told in one message, however many there are."""
        return f"{self.product}/{self.segment or ''}/{self.kind}"


@dataclass(frozen=True, kw_only=True)
class Found:
    """An alert as it was found. `over`: it ended before anybody looked, at `at`.

    With `after`, the condition has to last that long before it counts: what mends itself is told to nobody.
    """

    alert: Alert
    over: bool = False
    at: datetime | None = None
    after: timedelta = timedelta(0)


def asset_link(ui_url: str, product: str, stage: str, partition: str | None = None) -> str:
    """Return the page of an asset, at a partition if one is named."""
    chosen = f"?view=partitions&partition={quote(partition, safe='')}" if partition else ""
    return f"{ui_url}/assets/{product}/{stage}{chosen}"


def run_link(ui_url: str, run_id: str) -> str:
    """Return the page of a run."""
    return f"{ui_url}/runs/{run_id}"


def why_command(product: str) -> str:
    """Return the command that shows stored decisions: no page does."""
    return f"mlops-assets why {product}"
