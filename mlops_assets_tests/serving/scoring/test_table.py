"""A declared table is cut into windows once per content, part by part; nothing of it is lost or read twice."""

from datetime import UTC, datetime

import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.step import NotReady
from mlops_assets.operations.status import validate
from mlops_assets.serving.scoring import reading
from mlops_assets.serving.scoring.table import Manifest, part_of, read_table
from mlops_assets_tests.serving.scoring.batch import FIRST, SECOND, day, write
from mlops_assets_tests.tiny import Tiny


def read(tiny: Tiny) -> Manifest:
    return read_table(Archive(tiny.settings.home), tiny.product, tiny.settings)


def root(tiny: Tiny, partition: str) -> str:
    held = part_of(Archive(tiny.settings.home), tiny.product, partition)
    assert held is not None
    return held.record.root


def test_rows_are_cut_into_monitoring_windows_in_order_of_time(tiny: Tiny):
    write(tiny, pl.concat([day(5), day(4)]).sample(fraction=1, shuffle=True, seed=1))

    found = read(tiny)

    assert dict(found.partitions) == {FIRST: 200, SECOND: 200}
    archive = Archive(tiny.settings.home)
    held = part_of(archive, tiny.product, FIRST)
    assert held is not None
    assert archive.table(held, "rows")["_key"].to_list() == day(4)["id"].to_list()


def test_parts_of_a_long_table_come_together(tiny: Tiny, monkeypatch: pytest.MonkeyPatch):
    write(tiny, pl.concat([day(5), day(4)]))
    read(tiny)
    whole = root(tiny, FIRST)
    monkeypatch.setattr(reading, "PART", 70)
    write(tiny, pl.concat([day(4), day(5), day(6)]))

    found = read(tiny)

    assert dict(found.partitions) == {FIRST: 200, SECOND: 200, "all|2024-01-06": 200}
    assert root(tiny, FIRST) == whole


def test_rows_that_belong_to_no_window_are_counted_with_the_reason(tiny: Tiny):
    table = day(4)[:3].with_columns(at=pl.Series(["2024-01-04T00:00:00Z", "soon", "1999-12-31T00:00:00Z"]))
    write(tiny, table)

    found = read(tiny)

    assert dict(found.partitions) == {FIRST: 1}
    assert dict(found.unplaced) == {
        "at: '1999-12-31T00:00:00Z' is before the first monitoring window, 2024-01-01 00:00": 1,
        "at: 'soon' is no time; right is ISO 8601, as 2026-01-31T12:00:00Z": 1,
    }


def test_a_window_that_is_no_longer_in_the_table_stays_as_it_was(tiny: Tiny):
    write(tiny, day(4))
    read(tiny)
    before = root(tiny, FIRST)

    write(tiny, day(5))

    assert dict(read(tiny).partitions) == {SECOND: 200}
    assert root(tiny, FIRST) == before


def test_a_window_that_does_not_change_keeps_its_record_when_others_come(tiny: Tiny):
    write(tiny, day(4))
    read(tiny)
    before = part_of(Archive(tiny.settings.home), tiny.product, FIRST)
    write(tiny, pl.concat([day(4), day(5)]))

    read(tiny)

    after = part_of(Archive(tiny.settings.home), tiny.product, FIRST)
    assert before is not None
    assert after is not None
    assert after.id == before.id


def test_a_table_without_a_time_is_of_when_its_file_was_written(tiny: Tiny):
    scores = tiny.product.model_copy(
        update={"source": tiny.product.source.model_copy(update={"time": None}), "windows": None}
    )
    write(tiny, day(4).drop("at"))

    found = read_table(Archive(tiny.settings.home), scores, tiny.settings)

    written = datetime.fromtimestamp((tiny.settings.root / "table.csv").stat().st_mtime, tz=UTC)
    assert dict(found.partitions) == {f"all|{written:%Y-%m-%d}": 200}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (None, "no file 'table.csv'"),
        (day(4).rename({"at": "att"}), r"no column 'at' \(did you mean 'att'\?\) for the time"),
    ],
)
def test_a_table_that_is_not_as_declared_is_told_of_with_the_nearest(tiny: Tiny, table: pl.DataFrame | None, told: str):
    if table is not None:
        write(tiny, table)

    with pytest.raises(NotReady, match=told):
        read(tiny)
    assert any("defs.yaml:12: attributes.scores.path" in problem for problem in validate(tiny.settings))


def test_what_a_killed_process_left_behind_goes(tiny: Tiny):
    (tiny.settings.home / ".table-tiny-killed" / FIRST).mkdir(parents=True)
    write(tiny, day(4))

    read(tiny)

    assert not list(tiny.settings.home.glob(".table-*"))
