"""A verdict of drift -> a picture of each column that moved most."""

import msgspec

from mlops_assets.detection.verdict import Verdict
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.monitoring.plots import reference_vs_live
from mlops_assets.training.bins import Counts
from mlops_assets.training.reference import Reference

MOST = 3


def drawings(archive: Archive, drift: Held, counted: str) -> dict[str, bytes]:
    """Return PNGs by column of the (at most three) columns that a drift verdict names; none if it found no drift.

    `counted` is the record of the window's profile.
    """
    verdict = msgspec.json.decode(archive.data(drift, "verdict"), type=Verdict)
    if verdict.state != "drift":
        return {}
    live = msgspec.json.decode(archive.data(archive.held(counted), "counts"), type=Counts)
    model = archive.held(drift.record.state["model"])
    known = msgspec.json.decode(archive.data(model, "reference"), type=Reference)
    moved = sorted(verdict.columns, key=lambda shift: shift.p_value)
    columns = [shift.column for shift in moved if shift.column in known.bins.columns]
    return {column: reference_vs_live(column, live, known) for column in columns[:MOST]}
