"""The shipped product of images: what its files and annotators are, and that a model of them reads digits."""

import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from mlops_assets.annotations.aggregate import aggregate
from mlops_assets.catalogue import check_product, read_catalogue
from mlops_assets.defs.digits.images import ANNOTATORS, FEWEST, GREY, judged, judgements
from mlops_assets.intake.declared import check_source
from mlops_assets.operations.status import validate
from mlops_assets.settings import PACKAGE, Settings
from mlops_assets_tests.deployment import Deployment

SEEDS = range(5)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """Which digit each image really is; no annotator is asked."""
    return load_digits().target


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of all images."""
    folder = tmp_path_factory.mktemp("digits")
    judgements(folder).collect()
    return folder


def test_the_images_are_files_of_grey_whose_pixels_are_the_ink_of_the_original(files: Path):
    found = np.array([np.asarray(Image.open(file)) for file in sorted(files.iterdir())])

    assert found.shape == (1797, 8, 8)
    assert (found // GREY == load_digits().images).all()
    assert (found % GREY == 0).all()


def test_the_rows_name_each_file_with_its_hash_and_nothing_is_written_before_they_are_read(tmp_path: Path):
    rows = judgements(tmp_path / "data")
    assert rows.collect_schema().names() == ["image_id", "image", "sha256", "annotator", "digit"]
    assert not (tmp_path / "data").exists()

    table = rows.collect()

    named = set(table["image"].unique())
    assert {file.name for file in (tmp_path / "data").iterdir()} == named
    assert table.select("image_id", "image", "sha256").n_unique() == len(named) == 1797


def test_a_file_that_somebody_changed_is_left_as_it_is_so_that_its_hash_gives_it_away(tmp_path: Path):
    judgements(tmp_path).collect()
    (tmp_path / "0007.png").write_bytes(b"changed")
    (tmp_path / "0008.png").unlink()

    judgements(tmp_path).collect()

    assert (tmp_path / "0007.png").read_bytes() == b"changed"
    assert (tmp_path / "0008.png").exists()


def test_every_image_is_judged_by_three_or_more_who_are_right_as_often_as_stated(truth: np.ndarray):
    table = judged(truth, 0).with_columns(right=pl.Series(truth)[pl.Series(judged(truth, 0)["place"])])

    right = table.group_by("annotator").agg((pl.col("digit") == pl.col("right")).mean(), rows=pl.len())

    assert table.group_by("place").len()["len"].min() == FEWEST
    assert table.n_unique(["place", "annotator"]) == table.height
    for name, share, rows in right.iter_rows():
        sd = (ANNOTATORS[name] * (1 - ANNOTATORS[name]) / rows) ** 0.5
        assert share == pytest.approx(ANNOTATORS[name], abs=4 * sd)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_labels_that_follow_from_the_annotators_are_the_true_ones(truth: np.ndarray, seed: int):
    said = judged(truth, seed)
    shares = said.select(
        _key=pl.col("place").cast(pl.String).str.zfill(4), annotator="annotator", label=pl.col("digit").cast(pl.String)
    )

    labels = aggregate(shares).sort("_key")["label"]

    agreed = (labels == pl.Series(truth).cast(pl.String)).mean()
    commonest = shares.group_by("_key").agg(pl.col("label").mode().sort().first()).sort("_key")["label"]
    assert agreed >= 0.99
    assert agreed > (commonest == pl.Series(truth).cast(pl.String)).mean()


def test_the_declaration_is_short_and_names_what_is_there_without_writing_a_file(settings: Settings):
    product = read_catalogue(settings.defs).product("digits")

    check_product(product, settings)
    check_source(product, settings.root, files=settings.files("digits"))

    assert len((PACKAGE / "defs" / "digits" / "defs.yaml").read_text().splitlines()) < 20
    assert validate(settings) == []
    assert not settings.home.exists()


def test_loading_all_that_is_shipped_writes_no_file_and_imports_no_library_that_only_a_run_needs(tmp_path: Path):
    deployment = Deployment(folder=tmp_path)
    (tmp_path / "defs").symlink_to(PACKAGE / "defs")
    named = "{key.path[0] for key in build(load_settings()).resolve_asset_graph().get_all_asset_keys()}"
    imports = "import sys; from mlops_assets.definitions import build; from mlops_assets.settings import load_settings"
    code = f"{imports}; print(sorted({named}), sorted({{'torch', 'sklearn', 'PIL'}} & set(sys.modules)))"

    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=deployment.environment, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "['digits', 'loans'] []"
    assert not deployment.home.exists()


@pytest.mark.slow
def test_a_model_of_the_images_reads_them_answers_a_request_and_is_proven(tmp_path: Path, truth: np.ndarray):
    pytest.importorskip("torch")
    deployment = Deployment(folder=tmp_path)
    (tmp_path / "defs").symlink_to(PACKAGE / "defs")

    deployment.run("backfill", "digits")

    image = deployment.home / "data" / "digits" / "0007.png"
    with deployment.serving("digits") as endpoint:
        status, headers, body = endpoint.infer({"image": b64encode(image.read_bytes()).decode(), "image_id": "new"})
        wrong, _, said = endpoint.infer({"image": b64encode(b"no image").decode()})
    [shown] = deployment.json("predictions", "digits", "--last", "1")
    proof = deployment.json("trace", shown["inference_id"])
    assert (status, body["output"], wrong) == (200, str(truth[7]), 422)
    assert "field 'image': found no image (8 bytes); right is base64 of an image file" in said["error"]
    assert shown["inference_id"] == headers["mlops-inference-id"]
    assert proof["verified"] is True
    assert proof["prediction"]["input"]["image"] == b64encode(image.read_bytes()).decode()
    assert proof["model"]["metrics"]["accuracy"] >= 0.97
    assert "plot: wrong answers" in metadata(deployment)


def metadata(deployment: Deployment) -> dict[str, object]:
    """What the UI shows of the model."""
    with dg.DagsterInstance.from_config(str(deployment.home / "dagster")) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["digits", "model"]))
    assert event is not None
    assert event.asset_materialization is not None
    return dict(event.asset_materialization.metadata)
