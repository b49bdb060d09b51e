"""Sealed predictions -> the window's profile: whylogs for people to look at, exact counts for verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from mlops_assets.evidence.records import canonical, digest
from mlops_assets.monitoring.whylog import column_view, merge_bytes, metadata_of, profile_bytes
from mlops_assets.training.bins import Bins, Counts, count
from mlops_assets.training.bins import merge as merge_counts
from mlops_assets.training.reference import PREDICTION
from mlops_assets.training.seen import Levels, Numbers, seen_in

if TYPE_CHECKING:
    from whylogs.core.view.column_profile_view import ColumnProfileView

COUNTS = "mlops_assets.counts"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One window: exact counts, and a serialized whylogs profile that carries them in its metadata."""

    counts: Counts
    whylogs: bytes

    @property
    def root(self) -> str:
        """The sha256 of the counts; the bytes of merged whylogs profiles differ from run to run."""
        return digest(canonical(self.counts))


def observed(sealed: pl.DataFrame) -> pl.DataFrame:
    """Return what a sealed window shows of the model: its features by name, and `prediction`."""
    features = [name for name in sealed.columns if name.startswith("feature.")]
    named = [pl.col(name).alias(name.removeprefix("feature.")) for name in features]
    return sealed.select(*named, pl.col("output").alias(PREDICTION))


def profile(frame: pl.DataFrame, bins: Bins, *, at: datetime) -> Profile:
    """Return the profile of `frame` over `bins`; `at` (aware) is the window's start."""
    views: dict[str, ColumnProfileView] = {}

    def view(column: Numbers | Levels) -> None:
        views[column.name] = column_view(column)

    counts = count(frame, bins, also=view)
    for name in set(bins.columns) & set(frame.columns) - set(counts.columns):
        if found := seen_in(frame[name]):
            view(found)
    return Profile(counts=counts, whylogs=profile_bytes(views, at=at, metadata=_metadata(counts)))


def read_profile(data: bytes) -> Profile:
    """Return the profile in whylogs bytes.

    Raises:
        ValueError: If the bytes are a whylogs profile, but not one of ours.
    """
    metadata = metadata_of(data)
    if COUNTS not in metadata:
        found = ", ".join(metadata) or "none"
        raise ValueError(f"a whylogs profile without {COUNTS!r} in its metadata; found: {found}")
    return Profile(counts=msgspec.json.decode(metadata[COUNTS], type=Counts), whylogs=data)


def merge_profiles(profiles: Sequence[Profile]) -> Profile:
    """Return the profile of all windows together; its counts do not depend on the order.

    Raises:
        ValueError: If there is none, or two were counted over different bins.
    """
    counts = merge_counts([each.counts for each in profiles])
    data = profiles[0].whylogs
    for other in profiles[1:]:
        data = merge_bytes(data, other.whylogs, metadata=_metadata(counts))
    return Profile(counts=counts, whylogs=data)


def _metadata(counts: Counts) -> dict[str, str]:
    return {COUNTS: msgspec.json.encode(counts).decode()}
