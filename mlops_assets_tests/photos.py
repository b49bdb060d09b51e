"""A product of image files: bright photos are `day`, dark ones `night`, by three annotators of whom one errs."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from mlops_assets.evidence.records import digest
from mlops_assets.features.images import pixels
from mlops_assets.intake.images import png
from mlops_assets.product import ModelProduct
from mlops_assets.settings import Settings

START = datetime(2026, 1, 5)
COUNT = 60
PHOTOS = ModelProduct.model_validate(
    {
        "name": "photos",
        "source": {
            "path": "photos.csv",
            "key": "id",
            "time": "taken",
            "image": {"column": "file", "height": 2, "width": 3, "sha256": "hash"},
        },
        "label": {"column": "shows", "annotator": "who"},
        "windows": {"every": "week", "start": "2026-01-05"},
        "features": f"{__name__}.grey",
        "quarantine": 0.2,
        "trainer": {"kind": "lightgbm", "params": {"num_iterations": 8, "min_data_in_leaf": 5}},
        "gate": {"metric": "accuracy", "floor": 0.6},
    }
)


def grey(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The six pixels of a photo."""
    return rows.select(pixels("file", height=2, width=3)).unnest("pixels")


def photo(place: int) -> bytes:
    """A photo: bright if `place` is even."""
    low = 128 if place % 2 == 0 else 0
    return png(np.random.default_rng(place).integers(low, low + 128, (2, 3), np.uint8))


def judgements() -> pl.DataFrame:
    """Three judgements of each photo; `eve` says the opposite of every tenth one."""
    rows: list[dict[str, str]] = []
    for place in range(COUNT):
        right = "day" if place % 2 == 0 else "night"
        wrong = "night" if place % 2 == 0 else "day"
        for who in ("ada", "ben", "eve"):
            said = wrong if who == "eve" and place % 10 == 0 else right
            taken = f"{START + timedelta(hours=place):%Y-%m-%dT%H:%M:%S}"
            named = {"file": f"files/{place:02}.png", "hash": digest(photo(place))}
            rows.append({"id": f"p{place:02}", "taken": taken, **named, "who": who, "shows": said})
    return pl.DataFrame(rows)


def write(folder: Path, frame: pl.DataFrame, files: Mapping[str, bytes | None] | None = None) -> None:
    """Write table and photos; `files` replaces some of them, None leaves one out."""
    (folder / "files").mkdir(parents=True, exist_ok=True)
    frame.write_csv(folder / "photos.csv")
    given = {f"files/{place:02}.png": photo(place) for place in range(COUNT)} | dict(files or {})
    for name, data in given.items():
        if data is None:
            (folder / name).unlink(missing_ok=True)
        else:
            (folder / name).write_bytes(data)


def deployment(folder: Path) -> Settings:
    """Settings whose evidence and source are in `folder`; table and photos are written."""
    write(folder, judgements())
    return Settings(
        home=folder / "home",
        root=folder,
        defs=folder / "defs",
        dagster_home=folder / "home" / "dagster",
        mlflow_uri=f"sqlite:///{folder / 'mlflow.db'}",
        ui_url="http://127.0.0.1:3000",
    )
