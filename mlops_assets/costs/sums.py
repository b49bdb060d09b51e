"""Spendings added up."""

from collections.abc import Iterable

from mlops_assets.costs.spent import Spent
from mlops_assets.evidence.records import Struct


class Sum(Struct, frozen=True, kw_only=True):
    """What some records took together: times in s, rows read and made, the size of their files in bytes.

    `unmeasured` counts records from before CPU and GPU time were measured.
    """

    records: int = 0
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    wall_s: float = 0.0
    rows_in: int = 0
    rows_out: int = 0
    bytes: int = 0
    unmeasured: int = 0

    def __add__(self, other: "Sum") -> "Sum":
        """Return both together."""
        return Sum(
            records=self.records + other.records,
            cpu_s=round(self.cpu_s + other.cpu_s, 3),
            gpu_s=round(self.gpu_s + other.gpu_s, 3),
            wall_s=round(self.wall_s + other.wall_s, 3),
            rows_in=self.rows_in + other.rows_in,
            rows_out=self.rows_out + other.rows_out,
            bytes=self.bytes + other.bytes,
            unmeasured=self.unmeasured + other.unmeasured,
        )


def total(spendings: Iterable[Spent]) -> Sum:
    """Return what some spendings come to."""
    found = list(spendings)
    return Sum(
        records=len(found),
        cpu_s=round(sum(each.cpu_s for each in found), 3),
        gpu_s=round(sum(each.gpu_s for each in found), 3),
        wall_s=round(sum(each.wall_s for each in found), 3),
        rows_in=sum(each.rows_in for each in found),
        rows_out=sum(each.rows_out for each in found),
        bytes=sum(each.bytes for each in found),
        unmeasured=sum(not each.measured for each in found),
    )
