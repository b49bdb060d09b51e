"""A source is read once per content, in parts; what it may hold is frozen at the first load."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.step import NotReady
from mlops_assets.intake.ingest import CHECK, Manifest, columns_of, ingest, part
from mlops_assets.parts import Column
from mlops_assets.product import ModelProduct
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES, deployment, partitions, sales, write

FUNCTION = f"{__name__}.sales"
BATH = partitions()[0]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two weeks of houses, not read yet."""
    return deployment(tmp_path)


def read(settings: Settings, product: ModelProduct = HOUSES) -> Manifest:
    return ingest(Archive(settings.home), product, settings)


def table(settings: Settings, name: str, partition: str = BATH) -> pl.DataFrame:
    """What the archive holds of a partition of the source."""
    archive = Archive(settings.home)
    held = part(archive, HOUSES, partition)
    assert held is not None
    return archive.table(held, name)


def broken(column: str, cell: str, *keys: str) -> pl.DataFrame:
    """The houses, all cells as text, with `cell` in a column of some."""
    text = sales().with_columns(pl.all().cast(pl.String))
    return text.with_columns(pl.when(pl.col("id").is_in(keys)).then(pl.lit(cell)).otherwise(column).alias(column))


def test_rows_and_labels_lie_apart_by_segment_and_window(settings: Settings):
    manifest = read(settings)

    assert dict(manifest.partitions) == dict.fromkeys(partitions(), 70)
    assert dict(manifest.unplaced) == {}
    assert "sold" not in table(settings, "rows").columns
    assert table(settings, "labels").columns == ["_key", "_time", "sold"]
    assert table(settings, "rows").schema["rooms"] == pl.Int64


def test_a_source_that_is_as_before_is_not_read_again(settings: Settings):
    archive = Archive(settings.home)
    first = read(settings)
    lines = len(archive.journal.links())

    (settings.root / "houses.csv").touch()
    second = read(settings)

    assert second == first
    assert len(archive.journal.links()) == lines


def test_a_function_may_be_the_source(settings: Settings):
    product = HOUSES.model_copy(
        update={"source": HOUSES.source.model_copy(update={"path": None, "function": FUNCTION})}
    )

    assert dict(read(settings, product).partitions) == dict.fromkeys(partitions(), 70)


def test_rows_that_belong_nowhere_are_counted_by_reason(settings: Settings):
    extra = (
        sales()
        .head(3)
        .with_columns(
            id=pl.Series(["n1", "n2", "n3"]),
            town=pl.Series(["hull", "hull", "bath"]),
            seen=pl.lit("2025-12-31T12:00:00"),
        )
    )
    text = pl.concat([sales().with_columns(pl.all().cast(pl.String)), extra.with_columns(pl.all().cast(pl.String))])
    write(settings, text.with_columns(seen=pl.col("seen").str.replace(" ", "T")))

    manifest = read(settings)

    assert sum(manifest.partitions.values()) == 280
    assert sum(manifest.unplaced.values()) == 3
    assert any("is before the first window, 2026-01-05" in reason for reason in manifest.unplaced)


def test_a_cell_that_is_not_of_its_first_type_is_kept_with_its_row_and_the_reason(settings: Settings):
    read(settings)
    write(settings, broken("rooms", "many", "bath-01050000"))

    read(settings)

    rejected = table(settings, "rejected")
    assert rejected.select("id", "rooms", "_reason").rows() == [
        ("bath-01050000", "many", "rooms: 'many' is not an int")
    ]
    assert table(settings, "rows").height == 69


def test_a_partition_that_no_row_changed_keeps_its_content(settings: Settings):
    archive = Archive(settings.home)
    read(settings)
    before = {partition: part(archive, HOUSES, partition) for partition in partitions()}
    write(settings, broken("rooms", "9", "bath-01050000"))

    read(settings)

    after = {partition: part(archive, HOUSES, partition) for partition in partitions()}
    roots = {
        partition: tuple(held.record.root if held else None for held in (before[partition], after[partition]))
        for partition in partitions()
    }
    assert {partition for partition, (one, other) in roots.items() if one != other} == {BATH}


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (
            sales().rename({"rooms": "room"}),
            "missing 'rooms' .did you mean 'room'.., unexpected 'room'; columns so far: ",
        ),
        (sales().drop("street"), "the header changed: missing 'street'; columns so far: id, price, rooms, seen, sold"),
        (sales().with_columns(garden=1), "the header changed: unexpected 'garden'"),
        (sales().clear(), r"houses\.csv: has no rows"),
        (None, r"no file 'houses\.csv': nothing is at "),
    ],
)
def test_a_source_that_is_not_as_before_is_refused_and_what_was_read_stays(
    settings: Settings, frame: pl.DataFrame | None, problem: str
):
    read(settings)
    before = table(settings, "rows")
    if frame is None:
        (settings.root / "houses.csv").unlink()
    else:
        write(settings, frame)

    with pytest.raises(NotReady, match=problem) as refused:
        read(settings)

    assert refused.value.check == CHECK
    assert table(settings, "rows").equals(before)


def test_columns_in_another_order_are_the_same_source(settings: Settings):
    read(settings)
    before = table(settings, "rows")
    write(settings, sales().select(sorted(sales().columns, reverse=True)))

    read(settings)

    assert table(settings, "rows").equals(before)


def test_what_a_column_holds_is_frozen_until_it_is_declared_otherwise(settings: Settings):
    archive = Archive(settings.home)
    read(settings)
    write(settings, sales().with_columns(rooms=pl.col("rooms") + 0.5))

    read(settings)
    frozen = columns_of(archive, HOUSES)[1]["rooms"].type
    rejected = table(settings, "rejected").height
    declared = HOUSES.model_copy(update={"columns": {"rooms": Column(type="float", max=9.5)}})
    read(settings, declared)

    assert (frozen, rejected) == ("int", 70)
    assert columns_of(archive, declared)[1]["rooms"] == Column(type="float", max=9.5)
    assert table(settings, "rejected").is_empty()


def test_a_new_column_is_taken_in_once_it_is_declared(settings: Settings):
    read(settings)
    write(settings, sales().with_columns(garden=1))

    read(settings, HOUSES.model_copy(update={"columns": {"garden": Column(type="int")}}))

    assert "garden" in table(settings, "rows").columns


def test_a_source_that_is_restored_is_read_as_it_was(settings: Settings):
    first = read(settings)
    before = table(settings, "rows")
    write(settings, broken("rooms", "9", "bath-01050000"))
    read(settings)
    write(settings, sales())

    restored = read(settings)

    assert restored == first
    assert table(settings, "rows").equals(before)


def test_columns_are_not_known_before_the_first_load(settings: Settings):
    with pytest.raises(NotReady, match="the source was never read; materialize houses/annotations"):
        columns_of(Archive(settings.home), HOUSES)


def test_two_that_read_at_once_read_once(settings: Settings):
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: read(settings), range(2))

    assert one == other
    links = Archive(settings.home).journal.links()
    assert len({str(link.body["place"]) for link in links}) == len(links) == 6
