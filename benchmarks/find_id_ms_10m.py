"""An inference id looked up in ten million sealed predictions, beside polars' own filter over all of their files."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.results import Result, result
from mlops_assets.evidence.archive import Archive, Built, Held
from mlops_assets.evidence.records import Place, Recipe
from mlops_assets.lineage.predictions import sealed
from mlops_assets.parts import Label, Source
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.log.ids import to_ms
from mlops_assets.windows import ALL, Grid

AIM = 20
WINDOWS, ROWS, COLUMNS = 10, 1_000_000, 25
ASKED, ROUNDS = 60, 3
START = datetime(2026, 1, 5)
PRODUCT = ModelProduct(
    name="calls",
    source=Source(path="calls.csv", time="at"),
    label=Label(column="good"),
    windows=Grid(every="week", start=START),
    features=tuple(f"x{number}" for number in range(COLUMNS)),
)


def measure() -> list[Result]:
    """Return the median, and the 99th percentile, in ms; each id is asked for by both, turn by turn."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive(Path(folder))
        drawn, files = random.Random(0), list[Path]()
        ids: list[str] = []
        for number, window in enumerate(PRODUCT.grid.keys(_day(0), _day(WINDOWS))):
            held, sampled = _sealed(archive, window, _day(number), seed=number)
            files.append(archive.home / held.file("predictions").address)
            ids += sampled
        asked = drawn.sample(ids, ASKED)
        ours, theirs = _both(asked, lambda id_: sealed(archive, PRODUCT, id_), lambda id_: _filtered(files, id_))
    beside = "polars scan_parquet().filter(id) over the files"
    middle, worst = ([float(np.quantile(taken, share)) for taken in (ours, theirs)] for share in (0.5, 0.99))
    return [
        result("find_id_ms_10m", middle[0], "ms", beside=beside, beside_figure=middle[1], aim=AIM),
        result("find_id_ms_10m/p99", worst[0], "ms", beside=beside, beside_figure=worst[1]),
    ]


def _day(number: int) -> datetime:
    return START.replace(tzinfo=UTC) + timedelta(days=number)


def _sealed(archive: Archive, window: str, start: datetime, *, seed: int) -> tuple[Held, list[str]]:
    """Return the record of a window's predictions, and some of their ids."""
    rows = _rows(start, np.random.default_rng(seed))
    recipe = Recipe(
        place=Place(product=PRODUCT.name, stage=Stage.PREDICTIONS, partition=f"{ALL}|{window}"), code="benchmark"
    )
    held = archive.make(recipe, [], lambda: Built(outputs={"predictions": rows}))
    return held, rows["inference_id"].sample(ASKED, seed=seed).to_list()


def _rows(start: datetime, draw: np.random.Generator) -> pl.DataFrame:
    """Return a day of predictions, as sealing writes them: sorted by id, inputs beside output."""
    ms = np.sort(draw.integers(0, 86_400_000, ROWS)) + to_ms(start)
    high = np.sort(
        (ms.astype(np.uint64) << np.uint64(16)) | np.uint64(0x7000) | draw.integers(0, 4096, ROWS).astype(np.uint64)
    )
    low = draw.integers(0, 2**62, ROWS).astype(np.uint64) | np.uint64(1 << 63)
    hexes = np.column_stack([high, low]).astype(">u8").tobytes().hex()
    inputs = {f"input.x{number}": draw.normal(size=ROWS) for number in range(COLUMNS)}
    return pl.DataFrame(
        {
            "inference_id": list(_texts(hexes)),
            "at": pl.Series(ms * 1000).cast(pl.Datetime("us", "UTC")),
            "segment": [ALL] * ROWS,
            "version": [17] * ROWS,
            "output": draw.random(ROWS),
            **inputs,
        }
    )


def _texts(hexes: str) -> Iterator[str]:
    for at in range(0, len(hexes), 32):
        h = hexes[at : at + 32]
        yield f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def _both(
    ids: list[str], ours: Callable[[str], object], theirs: Callable[[str], object]
) -> tuple[list[float], list[float]]:
    """Return the ms of each look-up: the better of some rounds, since others use this machine."""
    taken = [[(_ms(ours, id_), _ms(theirs, id_)) for id_ in ids] for _ in range(ROUNDS)]
    best = [tuple(map(min, zip(*rounds, strict=True))) for rounds in zip(*taken, strict=True)]
    return [pair[0] for pair in best], [pair[1] for pair in best]


def _ms(find: Callable[[str], object], id_: str) -> float:
    began = time.perf_counter()
    if find(id_) is None:
        raise RuntimeError(f"{id_} was not found")
    return (time.perf_counter() - began) * 1000


def _filtered(files: list[Path], id_: str) -> pl.DataFrame | None:
    found = pl.scan_parquet(files).filter(pl.col("inference_id") == id_).collect()
    return found if found.height else None
