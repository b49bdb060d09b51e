"""Features of houses that do not come easily: roots, logarithms, ratios, texts, conditions, and missing ones."""

import polars as pl


def worked_out(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Twelve features, some of whole numbers, some true or false, one a text, one missing at times."""
    price, rooms = pl.col("price"), pl.col("rooms")
    return rows.with_columns(each=price / rooms, high=pl.col("street").str.starts_with("h")).select(
        "each",
        "high",
        "rooms",
        street=pl.col("street").str.to_uppercase(),
        log=price.log1p(),
        root=(price * rooms).sqrt(),
        rounded=(price / 7).round(2),
        dear=pl.when(price > 50).then(price - 50),
        wave=(price / 10).sin() + rooms.cos(),
        power=price ** (1 / rooms),
        exp=(-price / 30).exp(),
        third=price / 3,
    )
