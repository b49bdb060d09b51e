"""Personal columns: the key that hashes them, and which of a row's columns the log holds.

A hash is HMAC-SHA-256 (RFC 2104), cut to 128 bits, over column and value, under a key of the product's own. So equal
values of a column can be told to be equal, and nothing else, by whoever has the log and not the key.
"""

import hmac
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import polars as pl

from mlops_assets.product import ModelProduct
from mlops_assets.settings import Settings

HASHED = "hashed."  # what such a column is called in a table of predictions, beside "input."
How = Literal["hash", "omit"]

_BYTES = 32
_SHOWN = 16  # bytes of a hash that are kept


def personal_key(product: ModelProduct, settings: Settings) -> bytes:
    """Return the key of a product, made once and kept from then on; b"" if none of its columns is hashed.

    It is in `<home>/secrets/<product>.key`, or made of the file that the settings name, which all replicas then share.

    Raises:
        ValueError: If the file is too short for a secret.
        OSError: If it cannot be read, or not be made.
    """
    if "hash" not in product.endpoint.personal.values():
        return b""
    path = settings.personal_key or settings.home / "secrets" / f"{product.name}.key"
    if settings.personal_key is None and not path.exists():
        _make(path)
    secret = path.read_bytes()
    if len(secret) < _BYTES:
        raise ValueError(f"{path}: {len(secret)} bytes are no secret; right is {_BYTES} random ones or more")
    return hmac.digest(secret, product.name.encode(), "sha256")


def hashed(key: bytes, column: str, value: object) -> str | None:
    """Return what stands for a value of a column, as 32 hex digits; a null stays one."""
    if value is None:
        return None
    if isinstance(value, datetime) and value.tzinfo:  # one moment is one value, whatever offset it was sent with
        value = value.astimezone(UTC)
    data = value if isinstance(value, bytes) else str(value).encode()
    return hmac.digest(key, column.encode() + b"\0" + data, "sha256")[:_SHOWN].hex()


def hide(table: pl.DataFrame, personal: Mapping[str, How], key: bytes, key_column: str | None) -> pl.DataFrame:
    """Return predictions that hold their inputs as the log would hold them; what is hidden already stays so."""
    for name, how in personal.items():
        given = f"input.{name}"
        if how == "hash" and given in table.columns:
            table = table.with_columns(_hashed(table[given], key, name).alias(HASHED + name))
        if name == key_column and "key" in table.columns:
            kept = _hashed(table["key"], key, name) if how == "hash" else pl.lit(None, pl.String)
            table = table.with_columns(key=kept)
        table = table.drop(given, f"feature.{name}", strict=False)
    return table


def _hashed(values: pl.Series, key: bytes, name: str) -> pl.Series:
    return pl.Series(values.name, [hashed(key, name, value) for value in values], pl.String)


def _make(path: Path) -> None:
    """Write a new secret for the owner alone; of several processes that do, one wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, os.urandom(_BYTES))
        os.fsync(fd)
        with suppress(FileExistsError):
            os.link(own, path)
    finally:
        os.close(fd)
        own.unlink()
