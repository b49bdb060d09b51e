"""Records of a window -> its page, written beside the evidence: it can be made again at any time."""

from collections.abc import Mapping
from pathlib import Path
from typing import get_args
from urllib.parse import quote

import msgspec

from mlops_assets.chart import number
from mlops_assets.detection.finding import Ancestor
from mlops_assets.detection.verdict import ColumnShift
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import Place
from mlops_assets.evidence.step import parse
from mlops_assets.evidence.store import replace
from mlops_assets.monitoring.column_plot import spark
from mlops_assets.monitoring.drawn import (
    UNCALIBRATED,
    JudgedWindow,
    judged,
    ks,
    moved,
    pictures,
    quality_plot,
    verdicts,
    with_scores,
)
from mlops_assets.monitoring.page import Page, Row, html
from mlops_assets.monitoring.plots import verdict_timeline
from mlops_assets.monitoring.shown import tables
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.settings import Settings

QUIET = ("not judged", "as usual")
MOST = 6  # columns that moved and are drawn in large


def asked_for(product: ModelProduct, window: str, segment: str | None) -> str:
    """Return the partition of a window; `segment` may be left out where there is one.

    Raises:
        LookupError: If there is no such segment, or several and none is named; it names them.
        ValueError: If `window` is no monitoring window.
    """
    product.grid.bounds(window)
    known = ", ".join(product.segments)
    asked = [each for each in product.segments if segment in (None, each)]
    if not asked:
        raise LookupError(f"no segment {segment!r} of {product.name}; known: {known}")
    if len(asked) > 1:
        raise LookupError(f"which segment of {product.name}? name one with --segment: {known}")
    return f"{asked[0]}|{window}"


def page_path(settings: Settings, product: str, partition: str) -> Path:
    """Return where the page of a window is kept."""
    return settings.home / "pages" / product / f"{partition}.html"


def write_page(settings: Settings, archive: Archive, product: ModelProduct, partition: str) -> Path:
    """Write the page of a window from its current records, and return where.

    Raises:
        LookupError: If the window was never judged; it names the newest one that was.
    """
    path = page_path(settings, product.name, partition)
    replace(path, html(page_of(settings, archive, product, partition)).encode())
    return path


def page_of(settings: Settings, archive: Archive, product: ModelProduct, partition: str) -> Page:
    """Return what the page of a window says.

    Raises:
        LookupError: If the window was never judged; it names the newest one that was.
    """
    drift = archive.head(_place(product, Stage.DRIFT, partition))
    if drift is None:
        newest = sorted(archive.heads(product.name, Stage.DRIFT), key=lambda key: parse(key)[1])[-1:]
        raise LookupError(f"no verdict on {product.name}[{partition}]; the newest one is on {newest or 'none'}")
    found, (segment, window) = judged(archive, drift), parse(partition)
    performance = archive.head(_place(product, Stage.PERFORMANCE, partition))
    facts, verdict = drift.record.facts, found.verdict
    return Page(
        product=product.name,
        segment=segment,
        window=window,
        verdict=verdict,
        facts=_facts(product, found, window),
        origin=str(facts.get("origin") or ""),
        ancestors=_in_order(msgspec.convert(facts.get("ancestors") or {}, dict[str, str])),
        columns=column_rows(found),
        uncalibrated=UNCALIBRATED,
        pictures=pictures(archive, found, with_scores(moved(found, MOST), found.reference)),
        timeline=verdict_timeline(verdicts(archive, product, partition)),
        performance=str(performance.record.facts["words"]) if performance else "",
        quality=quality_plot(archive, product, partition) if performance else "",
        tables=tables(archive, performance) if performance else {},
        records=_records(archive, product, found, performance),
        commands=_commands(found, product.name, segment, window),
        ui=f"{settings.ui_url}/assets/{product.name}/drift?view=partitions&partition={quote(partition, safe='')}",
    )


def column_rows(found: JudgedWindow) -> list[Row]:
    """Return a row per column, those that moved first, the surest of them at the top."""
    surest = sorted(found.verdict.columns, key=lambda shift: shift.p_value)
    shifts = {shift.column: shift for shift in surest}
    known = found.reference.bins.columns
    changed = {column: each for each in found.live.changes for column in known if each.startswith(f"{column} is ")}
    rest = [column for column in known if column not in shifts and column not in changed]
    judged = found.verdict.p_value is not None and found.verdict.kind != "schema"
    told = {**changed, **{column: shift.words for column, shift in shifts.items()}}
    quiet = QUIET[judged]
    return [_row(column, told.get(column) or quiet, shifts.get(column), found) for column in [*told, *rest]]


def _in_order(ancestors: Mapping[str, str]) -> dict[str, str]:
    """Return what the ancestors' tests say in the order of the flow; a record keeps it by name."""
    flow = get_args(Ancestor)
    return {name: ancestors[name] for each in flow for name in ancestors if name.partition(" row by row")[0] == each}


def _facts(product: ModelProduct, found: JudgedWindow, window: str) -> dict[str, str]:
    verdict = found.verdict
    start, end = (f"{moment:%Y-%m-%d %H:%M}" for moment in product.grid.bounds(window))
    p_value = "" if verdict.p_value is None else number(verdict.p_value)
    told = {
        "window (UTC)": f"{start} to {end}",
        "rows": f"{verdict.rows:,}",
        "judged by": f"{product.name}@{found.drift.record.facts['version']}",
        "reference": f"{verdict.windows} windows of {found.reference.rows_per_window:,} rows",
        "p, corrected for all columns": p_value,
        "ordinary windows that may alarm": f"{verdict.promised:.1%}" if verdict.promised else "",
        "shown by": f"{verdict.over} windows together" if verdict.over > 1 else "this window alone",
    }
    return {name: words for name, words in told.items() if words}


def _row(column: str, words: str, shift: ColumnShift | None, found: JudgedWindow) -> Row:
    counted = column in found.live.columns and found.live.rows > 0
    apart = found.apart.get(column)
    smallest = found.verdict.smallest_shift.get(column)
    return Row(
        column=column,
        words=words,
        moved=words not in QUIET,
        effect=_effect(shift) if shift else "",
        p_value=number(shift.p_value) if shift else "",
        smallest_shift=f"{smallest:.2f} sd" if smallest is not None else "",
        psi=number(apart.psi) if apart else "",
        ks=ks(apart) if apart else "",
        kl=number(apart.kl) if apart else "",
        spark=spark(column, found.live, found.reference) if counted else "",
    )


def _effect(shift: ColumnShift) -> str:
    if shift.unit == "sd":
        return f"{shift.effect:+.2f} sd"
    return f"{shift.effect:+.1%} of rows" if shift.unit == "share" else f"spread x{1 + shift.effect:.2f}"


def _records(archive: Archive, product: ModelProduct, found: JudgedWindow, performance: Held | None) -> dict[str, str]:
    sealed = next((each for each in found.profile.record.inputs if each.place.stage == Stage.PREDICTIONS), None)
    held = {
        "drift": found.drift.id,
        "profile": found.profile.id,
        "predictions": sealed.record if sealed else None,
        "performance": performance.id if performance else None,
        f"model {product.name}@{found.drift.record.facts['version']}": found.model.id,
        "whylogs profile": str(archive.home / found.profile.file("whylogs").address),
    }
    return {name: told for name, told in held.items() if told}


def _commands(found: JudgedWindow, product: str, segment: str, window: str) -> list[str]:
    return [
        f"mlops-assets trace {found.drift.id}",
        f"mlops-assets trace {product}@{found.drift.record.facts['version']}",
        f"mlops-assets why {product}",
        f"mlops-assets page {product} {window} --segment {segment}",
    ]


def _place(product: ModelProduct, stage: Stage, partition: str) -> Place:
    return Place(product=product.name, stage=stage, partition=partition)
