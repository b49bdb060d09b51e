"""Files by the hash of their bytes: written once, whole or not at all, and compared before they are read."""

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl

from mlops_assets.evidence.content import content_root, schema_of
from mlops_assets.evidence.records import BrokenEvidence, File, Output, digest

ROW_GROUP = 65_536
BY_ID, ROW_GROUP_BY_ID = "inference_id", 16_384  # a row that is looked up by its id costs one group: 5 ms of 1M rows


class Store:
    """Content-addressed files under `root`. Addresses are relative, so a moved store is the same store."""

    def __init__(self, root: Path) -> None:
        """Keep files under `root`; nothing is created before something is written."""
        self.root = root

    def put_bytes(self, name: str, data: bytes, suffix: str) -> tuple[Output, File]:
        """Store `data` and return what a record and an envelope say of it."""
        sha = digest(data)
        address = f"objects/{sha[:2]}/{sha}.{suffix}"
        path = self.root / address
        if not path.exists() or path.read_bytes() != data:  # a file that was damaged is mended
            replace(path, data)
        return Output(name=name, root=sha), File(name=name, address=address, sha256=sha, size=len(data))

    def put_table(self, name: str, frame: pl.DataFrame) -> tuple[Output, File]:
        """Store `frame` as Parquet; the output carries its content root, rows and schema."""
        buffer = io.BytesIO()
        rows = ROW_GROUP_BY_ID if BY_ID in frame.columns else ROW_GROUP
        frame.write_parquet(buffer, compression="zstd", compression_level=1, row_group_size=rows)
        _, file = self.put_bytes(name, buffer.getvalue(), "parquet")
        output = Output(name=name, root=content_root(frame), rows=frame.height, schema=schema_of(frame))
        return output, file

    def get_bytes(self, file: File) -> bytes:
        """Return the bytes of `file`.

        Raises:
            BrokenEvidence: If the file is missing, or one bit of it is not as it was written.
        """
        path = self.root / file.address
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise BrokenEvidence(str(path), f"missing; {file.name} should be here") from error
        if digest(data) != file.sha256:
            raise BrokenEvidence(str(path), f"changed; its bytes do not hash to {file.sha256[:12]}…")
        return data

    def get_table(self, file: File) -> pl.DataFrame:
        """Return the table in `file`, its bytes compared first."""
        return pl.read_parquet(io.BytesIO(self.get_bytes(file)))

    def scan(self, file: File, query: Callable[[pl.LazyFrame], pl.LazyFrame]) -> pl.DataFrame:
        """Return what `query` makes of the table in `file`. Only what it needs is read, and the bytes are not compared.

        Raises:
            BrokenEvidence: If it cannot be read because the file is missing or changed.
        """
        try:
            return query(pl.scan_parquet(self.root / file.address, glob=False)).collect()
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            self.get_bytes(file)
            raise

    def holds(self, file: File) -> bool:
        """Return whether `file` is there, by its size alone."""
        path = self.root / file.address
        return path.exists() and path.stat().st_size == file.size


def replace(path: Path, data: bytes) -> None:
    """Write `data` to `path` at once: a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
