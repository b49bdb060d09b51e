"""Wrong answers are drawn with their images, the surest first; models of other things have no such picture."""

from base64 import b64encode
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.operations.flow import step
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.training.model import decode_spec
from mlops_assets.training.pictures.wrong import MOST, Wrong, wrong_answers, wrong_pictures
from mlops_assets_tests.photos import PHOTOS, deployment, photo

SVG = "{http://www.w3.org/2000/svg}"


def wrong(place: int, score: float) -> Wrong:
    return Wrong(key=f"p{place}", image=photo(place), said="day", right="night", score=score)


def words(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def images(svg: str) -> list[str]:
    return [each.attrib["href"] for each in ElementTree.fromstring(svg).iter(f"{SVG}image")]


def test_the_surest_wrong_answer_comes_first_with_what_was_said_and_what_is_right():
    svg = wrong_answers([wrong(1, 0.6), wrong(3, 0.9)], 120)

    assert words(svg)[0] == "Wrong answers: 2 of 120 held-out images"
    assert words(svg)[2:] == ["day, right: night", "0.90  p3", "day, right: night", "0.60  p1"]
    assert images(svg)[0] == f"data:image/png;base64,{b64encode(photo(3)).decode()}"


def test_of_many_the_surest_are_drawn_and_names_cannot_break_the_picture():
    found = [Wrong(key="<p&>", image=photo(at), said="a" * 99, right="b", score=at / 99) for at in range(99)]

    svg = wrong_answers(found, 99)

    assert len(images(svg)) == MOST
    assert f"the surest {MOST} of them" in words(svg)[1]
    assert "<p&>" in words(svg)[3]


def test_without_a_wrong_answer_the_picture_says_so():
    assert words(wrong_answers([], 120))[0] == "Wrong answers: 0 of 120 held-out images"


def model(folder: Path, product: ModelProduct) -> tuple[Archive, Held]:
    """A model of `product` and the evidence behind it."""
    settings = deployment(folder)
    made = {stage: step(stage, product, settings).make("all|2026-01-05") for stage in (*DATA, Stage.MODEL)}
    return Archive(settings.home), made[Stage.MODEL]


def drawn(archive: Archive, held: Held) -> dict[str, str]:
    """The picture of a model that is right of all held-out rows but the first."""
    spec, holdout = decode_spec(archive.data(held, "spec")), archive.table(held, "holdout")
    scores = np.where(holdout["_label"] == spec.classes[-1], 0.9, 0.1)
    scores[0] = 1 - scores[0]
    return wrong_pictures(archive, held, spec, holdout, scores)


def test_the_key_of_a_held_out_row_leads_to_its_image_in_the_dataset(tmp_path: Path):
    archive, held = model(tmp_path, PHOTOS)
    key = archive.table(held, "holdout")["_key"][0]

    svg = drawn(archive, held)["wrong answers"]

    assert images(svg) == [f"data:image/png;base64,{b64encode(photo(int(key[1:]))).decode()}"]
    assert words(svg)[3] == f"0.90  {key}"


def test_a_table_of_numbers_has_no_such_picture(tmp_path: Path):
    fields = PHOTOS.model_dump(mode="json") | {"features": f"{__name__}.hours"}
    fields["source"]["image"] = None

    archive, held = model(tmp_path, ModelProduct.model_validate(fields))

    assert drawn(archive, held) == {}


def hours(rows: pl.LazyFrame) -> pl.LazyFrame:
    """A feature that is no image."""
    return rows.select(hour=pl.col("taken").dt.hour())
