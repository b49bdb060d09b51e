"""Several judgements of an item are one row and all its labels; images are read from their files or rejected."""

from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.content import content_root
from mlops_assets.evidence.step import NotReady
from mlops_assets.intake.image_files import LARGEST, own_folder
from mlops_assets.intake.images import pixels, png
from mlops_assets.intake.ingest import Manifest, columns_of, ingest, part
from mlops_assets.parts import Source
from mlops_assets.product import ModelProduct
from mlops_assets.settings import Settings
from mlops_assets_tests.photos import COUNT, PHOTOS, deployment, judgements, photo, write

PARTITION = "all|2026-01-05"
FUNCTION = f"{__name__}.taken"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Sixty photos of a week with three judgements each, not read yet."""
    return deployment(tmp_path)


def read(settings: Settings, product: ModelProduct = PHOTOS) -> Manifest:
    return ingest(Archive(settings.home), product, settings)


def held(settings: Settings) -> Held:
    found = part(Archive(settings.home), PHOTOS, PARTITION)
    assert found is not None
    return found


def table(settings: Settings, name: str) -> pl.DataFrame:
    return Archive(settings.home).table(held(settings), name)


def where(column: str, cell: str, **places: str) -> pl.DataFrame:
    """The judgements with another cell in the rows that have these values."""
    there = pl.all_horizontal(pl.col(name) == value for name, value in places.items())
    return judgements().with_columns(pl.when(there).then(pl.lit(cell)).otherwise(column).alias(column))


def taken(folder: Path) -> pl.DataFrame:
    """A source function that writes its own files."""
    write(folder, judgements())
    return judgements()


def test_there_is_a_row_per_item_with_the_files_very_bytes_and_a_label_per_judgement(settings: Settings):
    read(settings)

    rows, labels = table(settings, "rows"), table(settings, "labels")

    assert rows.select("id", "file").rows() == [(f"p{place:02}", photo(place)) for place in range(COUNT)]
    assert {"who", "shows"} & set(rows.columns) == set()
    assert labels.columns == ["_key", "_time", "shows", "who"]
    assert labels.filter(pl.col("_key") == "p10").select("who", "shows").rows() == [
        ("ada", "day"),
        ("ben", "day"),
        ("eve", "night"),
    ]


def test_an_image_is_part_of_the_root_by_its_pixels(settings: Settings):
    read(settings)
    rows = table(settings, "rows")

    other = rows.with_columns(file=pl.when(pl.col("id") == "p07").then(pl.lit(photo(9))).otherwise("file"))

    assert held(settings).record.outputs[0].schema[0] == ("file", "bytes")
    assert content_root(other) != content_root(rows) == held(settings).record.root


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "file: no file 'files/07.png': nothing is at "),
        (
            b"hello",
            "file: 'files/07.png' is no image (5 bytes); right is PNG, JPEG, BMP or WebP, 2 high and 3 wide",
        ),
        (photo(7)[:-5], "file: 'files/07.png' is an image that does not decode: "),
        (png(pixels(photo(7), (2, 3, 1)).reshape(3, 2)), "file: 'files/07.png' is an image 3 high and 2 wide, grey; "),
    ],
)
def test_a_file_that_is_not_the_declared_image_loses_its_item_with_the_reason(
    settings: Settings, data: bytes | None, reason: str
):
    fields = PHOTOS.model_dump(mode="json")
    fields["source"]["image"]["sha256"] = None
    product = ModelProduct.model_validate(fields)
    write(settings.root, judgements().drop("hash"), {"files/07.png": data})

    read(settings, product)

    rejected = table(settings, "rejected")
    assert rejected["id"].to_list() == ["p07"] * 3
    assert rejected["file"].unique().to_list() == ["files/07.png"]
    assert all(told.startswith(reason) for told in rejected["_reason"])
    assert table(settings, "rows").height == COUNT - 1
    assert "p07" not in table(settings, "labels")["_key"].to_list()
    assert held(settings).record.facts == {"rows": COUNT - 1, "rejected": 3}


def test_a_file_with_another_hash_than_the_table_says_is_rejected(settings: Settings):
    write(settings.root, judgements(), {"files/07.png": photo(9)})

    read(settings)

    [reason] = table(settings, "rejected")["_reason"].unique()
    assert reason.startswith("file: 'files/07.png' has the sha256 ")
    assert ", hash says '" in reason


def test_a_file_that_is_far_too_large_is_not_read(settings: Settings):
    with (settings.root / "files/07.png").open("wb") as file:
        file.truncate(LARGEST + 1)

    read(settings)

    [reason] = table(settings, "rejected")["_reason"].unique()
    assert reason == f"file: 'files/07.png' has {LARGEST + 1} bytes; right is {LARGEST} or fewer"


def test_a_changed_file_is_read_again_though_the_table_is_as_before(settings: Settings):
    before = read(settings)

    write(settings.root, judgements(), {"files/07.png": photo(9)})
    changed = read(settings)
    write(settings.root, judgements())
    mended = read(settings)

    assert len({before.record, changed.record}) == 2
    assert mended.record == before.record
    assert table(settings, "rejected").is_empty()


@pytest.mark.parametrize("column", ["hash", "file"])
def test_judgements_of_different_items_under_one_key_are_rejected_together(settings: Settings, column: str):
    write(settings.root, where(column, "files/09.png", id="p07", who="eve"))

    read(settings)

    rejected = table(settings, "rejected")
    assert rejected["id"].to_list() == ["p07"] * 3
    assert rejected["_reason"].unique().to_list() == [
        f"the judgements of item 'p07' differ in '{column}'; right is one item for all of them"
    ]


def test_a_judgement_of_nobody_is_rejected_and_those_of_others_stay(settings: Settings):
    write(settings.root, where("who", "", id="p07", who="eve").with_columns(pl.col("who").replace("", None)))

    read(settings)

    assert table(settings, "rejected").select("id", "_reason").rows() == [("p07", "who: names nobody")]
    assert table(settings, "labels").filter(pl.col("_key") == "p07")["who"].to_list() == ["ada", "ben"]


def test_an_item_whose_judgements_lie_in_two_windows_belongs_to_neither(settings: Settings):
    write(settings.root, where("taken", "2026-01-13T00:00:00", id="p07", who="eve"))

    manifest = read(settings)

    assert dict(manifest.unplaced) == {
        "the judgements of item 'p07' lie in several segments or windows; right is one": 3
    }


def test_a_source_without_its_annotator_is_refused(settings: Settings):
    write(settings.root, judgements().drop("who"))

    with pytest.raises(NotReady, match=r"photos: label\.annotator: no column 'who'.*; columns: id, taken, file"):
        read(settings)


def test_a_function_gets_the_folder_for_its_files_and_names_start_from_there(settings: Settings):
    source = PHOTOS.source.model_copy(update={"path": None, "function": FUNCTION})
    product = PHOTOS.model_copy(update={"source": source})

    read(settings, product)

    assert table(settings, "rows").height == COUNT
    assert (settings.home / "data" / "photos" / "files" / "00.png").read_bytes() == photo(0)
    assert columns_of(Archive(settings.home), product)[1]["file"].type == "image"


@pytest.mark.parametrize(("path", "folder"), [("a/b.csv", "a"), ("a", "a"), ("a/*/c.csv", "a"), ("b.csv", "")])
def test_names_start_from_the_folder_of_the_source(tmp_path: Path, path: str, folder: str):
    (tmp_path / "a").mkdir()

    assert own_folder(Source(path=path), tmp_path, tmp_path / "files") == tmp_path / folder


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"source": {"path": "a", "image": {"column": "file", "height": 2, "width": 3}}}, "name its `source.key`"),
        ({"label": {"column": "shows", "annotator": "id"}}, "'id' names the annotator and has another role"),
        ({"label": {"column": "shows", "annotator": "file"}}, "'file' names the image and has another role"),
        (
            {"features": ["file"]},
            "'file' is an image; right is a function that makes numbers of it, with",
        ),
        ({"features": ["who"]}, "the annotator 'who' is among the features"),
        ({"columns": {"other": "image"}}, "columns.other: an image is declared as `source.image`, with its size"),
    ],
)
def test_a_column_has_one_role(changes: dict[str, object], problem: str):
    fields = PHOTOS.model_dump(mode="json") | {"windows": None} | changes
    fields["source"] = {**fields["source"], "time": None}

    with pytest.raises(ValidationError, match=problem):
        ModelProduct.model_validate(fields)
