"""A source is read whole, or the error names the file and what is wrong with it."""

from pathlib import Path

import polars as pl
import pytest

from mlops_assets.intake.declared import check_source
from mlops_assets.intake.sources import SourceError, fingerprint, read_header, read_source
from mlops_assets.parts import Label, Source
from mlops_assets.product import ModelProduct
from mlops_assets.rules import Gate


def houses() -> pl.DataFrame:
    return pl.DataFrame({"id": [1, 2], "price": [3.5, 4.5]})


def fails() -> pl.DataFrame:
    raise ConnectionError("the database is down")


def nothing_like_a_table() -> int:
    return 7


HERE = __name__


def test_cells_of_a_csv_stay_text_so_that_none_is_lost(tmp_path: Path):
    (tmp_path / "a.csv").write_text("id;price\n007;three\n8;\n")

    frame = read_source(Source(path="a.csv"), tmp_path)

    assert frame.to_dicts() == [{"id": "007", "price": "three"}, {"id": "8", "price": None}]


@pytest.mark.parametrize("path", ["parts", "parts/*.csv", "**/[ab].csv"])
def test_files_of_a_folder_or_glob_are_read_by_name_in_any_order_of_columns(tmp_path: Path, path: str):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/b.csv").write_text("y,x\n2,b\n")
    (tmp_path / "parts/a.csv").write_text("x,y\na,1\n")
    (tmp_path / "parts/README").write_text("no table")

    frame = read_source(Source(path=path), tmp_path)

    assert frame.rows() == [("a", "1"), ("b", "2")]


@pytest.mark.parametrize("suffix", ["parquet", "ndjson"])
def test_typed_files_keep_their_types(tmp_path: Path, suffix: str):
    file = tmp_path / f"a.{suffix}"
    houses().write_parquet(file) if suffix == "parquet" else houses().write_ndjson(file)

    assert read_source(Source(path=file.name), tmp_path).equals(houses())


def test_a_function_is_a_source_too():
    assert read_source(Source(function=f"{HERE}.houses"), Path()).equals(houses())
    assert read_header(Source(function=f"{HERE}.houses"), Path()) == ["id", "price"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.csv", "x,y\n", "has no rows"),
        ("a.csv", "", "empty CSV"),
        ("a.csv", "x,y\n1,2,3\n", "found more fields"),
        ("a.csv", "x,x\n1,2\n", "two columns are called 'x'"),
        ("a.xlsx", "x", "cannot read .xlsx; right is .csv"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_file(tmp_path: Path, name: str, text: str, problem: str):
    (tmp_path / name).write_text(text)

    with pytest.raises(SourceError, match=rf"a\.\w+: .*{problem}"):
        read_source(Source(path=name), tmp_path)


def test_a_file_in_another_encoding_is_named(tmp_path: Path):
    (tmp_path / "a.csv").write_bytes("straße,x\nMünchen,1\n".encode("latin-1"))

    with pytest.raises(SourceError, match=r"a\.csv: .*utf-8"):
        read_source(Source(path="a.csv"), tmp_path)


def test_files_with_other_columns_are_not_put_together(tmp_path: Path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")

    with pytest.raises(SourceError, match=r"b\.csv: its columns are not those of a\.csv; only one of them has: y, z"):
        read_source(Source(path="*.csv"), tmp_path)


def test_a_missing_file_or_function_is_named(tmp_path: Path):
    with pytest.raises(SourceError, match=r"no file 'gone.csv': nothing is at"):
        read_source(Source(path="gone.csv"), tmp_path)
    with pytest.raises(LookupError, match=r"no function .*hauses' \(did you mean 'houses'\?\)"):
        read_source(Source(function=f"{HERE}.hauses"), tmp_path)
    with pytest.raises(LookupError, match="there is no module 'nowhere'"):
        read_source(Source(function="nowhere.houses"), tmp_path)
    with pytest.raises(SourceError, match="returned a int; right is a polars LazyFrame"):
        read_source(Source(function=f"{HERE}.nothing_like_a_table"), tmp_path)


def test_the_fingerprint_follows_the_content_and_not_the_place(tmp_path: Path):
    for folder, rows in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.csv").write_text(f"x\n{rows}\n")

    one, moved, other = (fingerprint(Source(path="x.csv"), tmp_path / folder) for folder in "abc")

    assert one == moved != other
    assert fingerprint(Source(function=f"{HERE}.houses"), tmp_path) == fingerprint(
        Source(function=f"{HERE}.houses"), tmp_path
    )


def test_a_function_that_raises_is_named_with_what_it_raised():
    source = Source(function=f"{HERE}.fails")

    with pytest.raises(SourceError, match=r"fails: ConnectionError: the database is down"):
        read_source(source, Path())
    with pytest.raises(SourceError, match=r"fails: ConnectionError: the database is down"):
        fingerprint(source, Path())


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path):
    file, cache = tmp_path / "x.csv", {}
    file.write_text("x\n1\n")
    first = fingerprint(Source(path="x.csv"), tmp_path, cache)
    [known] = cache
    cache[known] = "remembered"

    assert fingerprint(Source(path="x.csv"), tmp_path, cache) == "remembered"
    file.write_text("x\n1\n2\n")
    assert fingerprint(Source(path="x.csv"), tmp_path, cache) not in ("remembered", first)


def test_a_declared_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path):
    (tmp_path / "a.csv").write_text("price,sold\n1,0\n")

    def product(label: str, features: tuple[str, ...] | str) -> ModelProduct:
        return ModelProduct(
            name="p", source=Source(path="a.csv"), label=Label(column=label), features=features, gate=Gate(floor=0.5)
        )

    check_source(product("sold", ("price",)), tmp_path)
    with pytest.raises(
        SourceError, match=r"features.0: no column 'pirce' \(did you mean 'price'\?\); columns: price, sold"
    ):
        check_source(product("sold", ("pirce",)), tmp_path)
    with pytest.raises(SourceError, match=r"label\.column: no column 'bought'; columns"):
        check_source(product("bought", ("price",)), tmp_path)
    with pytest.raises(SourceError, match="no function"):
        check_source(product("sold", f"{HERE}.absent"), tmp_path)
