"""What is kept of scored rows: all of it, or as declared without personal columns, or with the features' hash alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from mlops_assets.product import ModelProduct
from mlops_assets.serving.log.keeping import features_digest
from mlops_assets.serving.log.personal import How, hide, personal_key
from mlops_assets.serving.log.sealed import DIGEST
from mlops_assets.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """What the log of a product keeps. `whole` is the share of rows with all computed features, None for all rows.

    Keys are in `key_column` of requests, and in `table_key` of the declared table if that is another.
    """

    personal: Mapping[str, How] = field(default_factory=dict[str, How])
    secret: bytes = field(default=b"", repr=False)
    key_column: str | None = None
    table_key: str | None = None
    whole: float | None = None

    def kept(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows in the form of sealed predictions as the log would hold them."""
        return hide(rows, self.personal, self.secret, self.key_column) if self.personal else rows

    def aside(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows as they were read without personal columns; they have no hash, as they may hold anything."""
        named = [*self.personal, *([self.table_key] if self.key_column in self.personal and self.table_key else [])]
        return rows.drop(named, strict=False)

    def features(self, made: pl.DataFrame) -> pl.DataFrame:
        """Return computed features as the log would hold them: beside their hash, most rows hold none."""
        if self.whole is None:
            return made
        digests = pl.Series(DIGEST, [features_digest(row).hex() for row in made.iter_rows()], pl.String)
        stays = pl.lit(digests.str.tail(8).str.to_integer(base=16)) < self.whole * 16**8  # the same rows in each run
        return made.with_columns(pl.when(stays).then(pl.all()).otherwise(None)).with_columns(digests)


def keeping_of(product: ModelProduct, settings: Settings) -> Keeping:
    """Return what the log of `product` keeps.

    Raises:
        ValueError: If there is no secret for its personal columns.
    """
    log = product.endpoint.log
    return Keeping(
        personal=product.endpoint.personal,
        secret=personal_key(product, settings),
        key_column=product.source.key,
        table_key=product.scores.key if product.scores else None,
        whole=log.sample if log.features == "hash" and isinstance(product.features, str) else None,
    )
