"""A drift or performance record -> its pictures and tables: moved columns, scores, distances, windows in a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from mlops_assets.chart import number
from mlops_assets.detection.distances import USUAL_LINE, Distances, distances
from mlops_assets.detection.verdict import Verdict
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import Place
from mlops_assets.evidence.step import parse
from mlops_assets.monitoring.column_plot import SHARES, reference_vs_live
from mlops_assets.monitoring.performance import Quality
from mlops_assets.monitoring.plots import LATEST, Mark, Point, performance_plot
from mlops_assets.monitoring.whylog import QUANTILES, quantiles_of
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.training.bins import Counts
from mlops_assets.training.reference import PREDICTION, Reference

MOST = 3
TOLD = ("state", "p_value")
UNCALIBRATED = f"uncalibrated, shown for comparison; {USUAL_LINE:g} is PSI's usual line"


@dataclass(frozen=True, kw_only=True)
class JudgedWindow:
    """A drift record, and what it was judged from."""

    drift: Held
    profile: Held
    model: Held
    verdict: Verdict
    live: Counts
    reference: Reference

    @cached_property
    def apart(self) -> dict[str, Distances]:
        """The distances that are shown and decide nothing, by column."""
        return distances(self.live, self.reference)


def judged(archive: Archive, drift: Held) -> JudgedWindow:
    """Return what a drift record was judged from: the window's profile and its model's reference."""
    profile = archive.held(next(each for each in drift.record.inputs if each.place.stage == Stage.PROFILE).record)
    model = archive.held(drift.record.state["model"])
    return JudgedWindow(
        drift=drift,
        profile=profile,
        model=model,
        verdict=msgspec.json.decode(archive.data(drift, "verdict"), type=Verdict),
        live=msgspec.json.decode(archive.data(profile, "counts"), type=Counts),
        reference=msgspec.json.decode(archive.data(model, "reference"), type=Reference),
    )


def moved(found: JudgedWindow, most: int = MOST) -> list[str]:
    """Return the columns that a drift verdict names, the surest first, as far as they were counted."""
    if found.verdict.state != "drift":
        return []
    named = sorted(found.verdict.columns, key=lambda shift: shift.p_value)
    return [shift.column for shift in named if shift.column in found.live.columns][:most]


def pictures(archive: Archive, found: JudgedWindow, columns: Sequence[str]) -> dict[str, str]:
    """Return SVGs by column, reference against live; their cumulative shares come from the stored whylogs sketches."""
    if not columns:
        return {}
    quantiles = quantiles_of(archive.data(found.profile, "whylogs"), SHARES)
    return {
        column: reference_vs_live(column, found.live, found.reference, quantiles.get(column, ()))
        for column in columns
        if column in found.live.columns and found.live.rows
    }


def with_scores(columns: Sequence[str], reference: Reference) -> list[str]:
    """Return `columns` with the prediction among them, where the reference has it."""
    scores = [PREDICTION] if PREDICTION in reference.bins.columns and PREDICTION not in columns else []
    return [*columns, *scores]


def distances_table(found: JudgedWindow) -> str:
    """Return PSI, KS and KL of each column in Markdown."""
    rows = [
        f"| {column} | {number(each.psi)} | {over(each)} | {ks(each)} | {number(each.kl)} |"
        for column, each in found.apart.items()
    ]
    head = f"{UNCALIBRATED}\n\n| column | PSI | over {USUAL_LINE:g} | KS | KL |\n| --- | ---: | --- | ---: | ---: |\n"
    return head + "\n".join(rows) if rows else "no rows to compare"


def quantiles_table(archive: Archive, profile: Held) -> str:
    """Return the quantiles of a profile's columns of numbers, from the whylogs sketches, in Markdown."""
    found = quantiles_of(archive.data(profile, "whylogs"))
    head = f"| column | {' | '.join(f'{share:.0%}' for share in QUANTILES)} |\n| ---{' | ---:' * len(QUANTILES)} |\n"
    rows = [f"| {column} | {' | '.join(number(each) for each in values)} |" for column, values in found.items()]
    return head + "\n".join(rows) if rows else "no numbers in this window"


def over(found: Distances) -> str:
    """Return in a word whether the PSI is over its usual line."""
    return "over" if found.over_the_line else "no"


def ks(found: Distances) -> str:
    """Return the KS distance; text has none."""
    return "" if found.ks is None else number(found.ks)


def verdicts(archive: Archive, product: ModelProduct, partition: str) -> list[Mark]:
    """Return the verdicts of the 30 windows up to a partition's, oldest first; those not judged are left out."""
    return [
        msgspec.convert({"window": window, **{name: held.record.facts[name] for name in TOLD}}, type=Mark)
        for window, held in _before(archive, product, partition, Stage.DRIFT).items()
    ]


def quality_plot(archive: Archive, product: ModelProduct, partition: str) -> str:
    """Return the gate's metric over the 30 windows up to a partition's, with its maturity, as SVG."""
    metric = product.gate.metric
    points = [
        _point(window, metric, msgspec.json.decode(archive.data(held, "quality"), type=Quality))
        for window, held in _before(archive, product, partition, Stage.PERFORMANCE).items()
    ]
    return performance_plot(points, metric=metric, floor=product.gate.floor)


def _point(window: str, metric: str, quality: Quality) -> Point:
    found = quality.metrics.get(metric)
    return Point(
        window=window,
        value=found.value if found else None,
        low=found.low if found else None,
        high=found.high if found else None,
        maturity=quality.share,
        judged=quality.immature is None,
    )


def _before(archive: Archive, product: ModelProduct, partition: str, stage: Stage) -> Mapping[str, Held]:
    """Return the records of a stage in the latest windows up to a partition's, by window, oldest first."""
    segment, last = parse(partition)
    places = {
        window: Place(product=product.name, stage=stage, partition=f"{segment}|{window}")
        for window in product.grid.before(last, LATEST)
    }
    heads = {window: archive.head(place) for window, place in places.items()}
    return {window: held for window, held in heads.items() if held is not None}
