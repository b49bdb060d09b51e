"""Half-hours of an electricity market that resembles the one of New South Wales in 1996: a file to try `init` with."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

START = datetime(1996, 5, 7)
DAY, WEEK, YEAR = 48, 7 * 48, 365 * 48  # half-hours

_Floats = NDArray[np.float64]


def electricity_like(rows: int, seed: int = 0) -> pl.DataFrame:
    """Return `rows` half-hours with demand, price and transfer scaled to [0, 1], and `price_up`.

    Columns are those of Elec2 (Harries, 1999): `price_up` is 1 when the price is above its mean of the last 24 hours.
    Demand follows the hour, the weekday and the season; the price follows demand, the neighbour's price and chance.
    """
    if rows < 1:
        raise ValueError(f"rows is {rows}; right is 1 or more")
    draw = np.random.default_rng(seed)
    half_hour = np.arange(rows + DAY)  # the first day only feeds the means of the second
    nsw_demand = _demand(half_hour, draw)
    vic_demand = 0.6 * _demand(half_hour + 1, draw) + 0.4 * nsw_demand
    vic_price = 0.5 * vic_demand + 0.5 * _wander(len(half_hour), draw, memory=0.9)
    nsw_price = 0.55 * nsw_demand + 0.2 * vic_price + 0.5 * _wander(len(half_hour), draw, memory=0.6)
    mean = np.convolve(nsw_price, np.ones(DAY) / DAY, mode="valid")[:rows]
    columns = {
        "nsw_price": nsw_price[DAY:],
        "nsw_demand": nsw_demand[DAY:],
        "vic_price": vic_price[DAY:],
        "vic_demand": vic_demand[DAY:],
        "transfer": (nsw_demand - vic_demand)[DAY:] + 0.05 * draw.standard_normal(rows),
    }
    times = pl.datetime_range(START, START + (rows - 1) * timedelta(minutes=30), "30m", eager=True)
    return pl.DataFrame(
        {
            "interval_start": times.dt.strftime("%Y-%m-%dT%H:%M:%S"),
            "day_of_week": times.dt.weekday().cast(pl.Int64),
            "period_of_day": (np.arange(rows) % DAY / (DAY - 1)).round(6),
            **{name: _scaled(values) for name, values in columns.items()},
            "price_up": (nsw_price[DAY:] > mean).astype(np.int64),
        }
    )


def _demand(half_hour: NDArray[np.int64], draw: np.random.Generator) -> _Floats:
    """Return demand with a peak in the evening, less on weekends, more in winter (which the first rows are near)."""
    evening = np.sin(2 * np.pi * (half_hour / DAY - 0.45))
    morning = np.sin(4 * np.pi * (half_hour / DAY - 0.2))
    weekend = (half_hour % WEEK) // DAY >= 5
    season = np.cos(2 * np.pi * half_hour / YEAR)
    return (
        0.8 * evening + 0.4 * morning - 0.5 * weekend + 0.3 * season + 0.4 * _wander(len(half_hour), draw, memory=0.95)
    )


def _wander(rows: int, draw: np.random.Generator, *, memory: float) -> _Floats:
    """Return a first-order autoregressive series of variance 1."""
    steps = draw.standard_normal(rows) * np.sqrt(1 - memory**2)
    values = np.empty(rows)
    value = 0.0
    for at, step in enumerate(steps):
        value = memory * value + step
        values[at] = value
    return values


def _scaled(values: _Floats) -> _Floats:
    """Return values, nearly all of which lie within three of zero, as shares of that range."""
    return np.clip(values / 6 + 0.5, 0, 1).round(6)


def write_sample(file: Path, rows: int = 20_000, seed: int = 0) -> None:
    """Write `electricity_like` rows to a CSV or Parquet file.

    Raises:
        ValueError: If the file's suffix is another.
        FileExistsError: If there is such a file.
    """
    if file.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{file}: cannot write {file.suffix or 'a file without suffix'}; right is .csv or .parquet")
    if file.exists():
        raise FileExistsError(f"{file} is there already; right is a new file")
    frame = electricity_like(rows, seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".csv":
        frame.write_csv(file)
    else:
        frame.write_parquet(file)
