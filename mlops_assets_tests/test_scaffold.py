"""`init` writes a declaration that loads, from any CSV or Parquet file."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.catalogue import read_declaration
from mlops_assets.intake.columns import cast, columns_for
from mlops_assets.intake.declared import check_source
from mlops_assets.intake.placing import split
from mlops_assets.intake.sources import read_source
from mlops_assets.product import ModelProduct
from mlops_assets.samples import electricity_like, write_sample
from mlops_assets.scaffold import write_declaration

ELECTRICITY = Path(__file__).parents[1].parent / "shared" / "data" / "electricity" / "electricity.csv"


def houses(rows: int = 400) -> pl.DataFrame:
    """Sales from 2 March 2026 on, four a day; `sold` depends on `price`, `street` says `sold` in other words."""
    at = pl.int_range(rows, eager=True)
    sold = (at * 7 % 13 + at % 2 * 3 > 8).cast(pl.Int64)
    return pl.DataFrame(
        {
            "id": "h" + at.cast(pl.String),
            "seen": [datetime(2026, 3, 2) + timedelta(hours=6 * n) for n in range(rows)],
            "town": pl.Series(["york", "bath"] * (rows // 2)),
            "price": at * 7 % 13,
            "odd": at % 2,
            "street": sold.replace_strict({0: "high", 1: "low"}),
            "sold": sold,
        }
    )


def written(folder: Path, frame: pl.DataFrame, suffix: str = "parquet", **roles: str | None) -> ModelProduct:
    folder.mkdir(exist_ok=True)
    file = folder / f"houses.{suffix}"
    frame.write_parquet(file) if suffix == "parquet" else frame.write_csv(file)
    path = write_declaration(
        name="houses",
        file=file,
        label=roles.get("label") or "sold",
        time=roles.get("time"),
        key=roles.get("key"),
        segment=roles.get("segment"),
        defs_dir=folder / "defs",
        project_root=folder,
    )
    text = path.read_text()
    assert path == folder / "defs" / "houses" / "defs.yaml"
    assert len(text.splitlines()) < 20
    assert "  # " in text
    product = read_declaration(path)
    assert product is not None
    check_source(product, folder)
    return product


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_roles_windows_segments_and_features_are_chosen_from_the_data(tmp_path: Path, suffix: str):
    product = written(tmp_path, houses(), suffix, time="seen", key="id", segment="town")

    assert product.source.path == f"houses.{suffix}"
    assert product.segments == ("bath", "york")
    assert product.features == ("price", "odd")
    assert product.windows is not None
    assert (product.windows.every, product.windows.start, product.windows.end) == (
        "week",
        datetime(2026, 3, 2),
        datetime(2026, 6, 15),
    )
    assert (product.gate.metric, product.gate.floor) == ("auc", 0.6)


def test_every_row_of_the_file_has_its_place_in_the_declaration(tmp_path: Path):
    product = written(tmp_path, houses(), "csv", time="seen", key="id", segment="town")
    frame = read_source(product.source, tmp_path)

    placed = split(frame, product)
    columns = columns_for(product, frame)

    assert placed.unplaced.is_empty()
    assert sum(cast(part, columns)[0].height for part in placed.partitions.values()) == 400


def test_a_file_needs_neither_time_nor_key_nor_segment(tmp_path: Path):
    product = written(tmp_path, houses())

    assert (product.windows, product.segments, product.source.roles) == (None, ("all",), ())
    assert product.features == ("town", "price", "odd")


def test_other_kinds_of_labels_get_another_metric(tmp_path: Path):
    frame = houses().with_columns(price=pl.col("price") + 0.5, district=pl.format("d{}", pl.col("price") // 5))

    regression = written(tmp_path / "a", frame, label="price")
    multiclass = written(tmp_path / "b", frame, label="district")

    assert (regression.label.kind, regression.gate.metric) == ("regression", "rmse")
    assert (multiclass.label.kind, multiclass.gate.metric) == ("multiclass", "accuracy")
    assert "price" not in multiclass.features  # the districts are cut from it


@pytest.mark.parametrize(
    ("roles", "problem"),
    [
        ({"label": "slod"}, r"--label: no column 'slod' \(did you mean 'sold'\?\); columns: id, seen, town"),
        ({"time": "town"}, "--time: 400 cells of 'town' are no time, as 'york'; right is ISO 8601"),
        ({"key": "town"}, "--key: 'town' repeats in 400 rows, as 'york'"),
        ({"segment": "id"}, "--segment: 'id' holds 400 values; right is at most 100"),
        ({"key": "sold"}, "a column has one role; found label: sold, key: sold"),
    ],
)
def test_a_wrong_column_is_named_with_what_is_right(tmp_path: Path, roles: dict[str, str], problem: str):
    with pytest.raises((ValueError, LookupError), match=problem):
        written(tmp_path, houses(), **roles)

    assert not (tmp_path / "defs").exists()


def test_a_segment_with_odd_values_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"--segment: 'town' holds 'new york'; right is at most 100 values of letters"):
        written(tmp_path, houses().with_columns(town=pl.lit("new york")), segment="town")


def test_a_name_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="'My Houses' is no name; right are lower-case letters"):
        write_declaration(
            name="My Houses", file=tmp_path / "x.csv", label="y", defs_dir=tmp_path, project_root=tmp_path
        )


def test_a_declaration_that_is_there_is_left_alone(tmp_path: Path):
    written(tmp_path, houses())
    declaration = tmp_path / "defs" / "houses" / "defs.yaml"
    declaration.write_text("mine\n")

    with pytest.raises(FileExistsError, match=r"defs\.yaml is there already"):
        written(tmp_path, houses())

    assert declaration.read_text() == "mine\n"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_sample_file_can_be_declared(tmp_path: Path, suffix: str):
    write_sample(tmp_path / f"s.{suffix}", rows=5_000)

    path = write_declaration(
        name="sample",
        file=tmp_path / f"s.{suffix}",
        label="price_up",
        time="interval_start",
        defs_dir=tmp_path / "defs",
        project_root=tmp_path,
    )

    product = read_declaration(path)
    assert product is not None
    assert product.windows is not None
    assert (product.windows.every, len(product.features)) == ("week", 7)


def test_the_sample_is_like_elec2_and_its_own_each_time():
    frame = electricity_like(1_000)

    assert ",".join(frame.columns) == (
        "interval_start,day_of_week,period_of_day,nsw_price,nsw_demand,vic_price,vic_demand,transfer,price_up"
    )
    assert frame["interval_start"][[0, -1]].to_list() == ["1996-05-07T00:00:00", "1996-05-27T19:30:00"]
    assert 0.3 < frame["price_up"].mean() < 0.7  # pyright: ignore[reportOperatorIssue]
    assert frame.equals(electricity_like(1_000))
    assert not frame.equals(electricity_like(1_000, seed=1))


def test_a_sample_overwrites_nothing(tmp_path: Path):
    write_sample(tmp_path / "s.csv", rows=10)

    with pytest.raises(FileExistsError, match=r"s\.csv is there already"):
        write_sample(tmp_path / "s.csv", rows=10)
    with pytest.raises(ValueError, match=r"cannot write \.xlsx; right is .csv or .parquet"):
        write_sample(tmp_path / "s.xlsx", rows=10)


def test_the_real_electricity_market_is_declared_by_month(tmp_path: Path):
    if not ELECTRICITY.exists():
        pytest.skip(f"no {ELECTRICITY}: 45,312 half-hours of the New South Wales market (Harries, 1999)")

    path = write_declaration(
        name="electricity",
        file=ELECTRICITY,
        label="price_up",
        time="interval_start",
        defs_dir=tmp_path,
        project_root=tmp_path,
    )

    product = read_declaration(path)
    assert product is not None
    assert product.source.path == str(ELECTRICITY.resolve())
    placed = split(read_source(product.source, tmp_path), product)
    assert (len(placed.partitions), placed.unplaced.height) == (32, 0)
