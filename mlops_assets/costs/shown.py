"""Costs as tables: lines for the command, Markdown for the UI."""

from collections.abc import Iterable, Sequence

from mlops_assets.costs.models import ModelCost, per_point
from mlops_assets.costs.rollup import Costs, by_owner
from mlops_assets.costs.sums import Sum
from mlops_assets.costs.unused import Unused

Row = Sequence[str]
SUM = ("records", "CPU s", "GPU s", "wall s", "rows in", "rows out", "bytes")
MODEL = ("version", "segment", "window", "answer", "CPU s", "GPU s", "training", "gate", "data", "gained", "s a point")
RETRAINED = ("at", "segment", "versions", "CPU s", "GPU s", "gained", "s a point", "reason")
SHOWN = 30  # models and retrainings in a table, the newest


def tables(found: Costs) -> dict[str, str]:
    """Return the tables of a product's costs by title, as Markdown."""
    drawn = {
        "by stage": _markdown(("stage", *SUM), stage_rows(found)),
        "by model": _markdown(MODEL, [_model(each) for each in reversed(found.models[-SHOWN:])]),
        "by retraining": _markdown(RETRAINED, retrained_rows(found)),
        "unused models": _markdown(("version", "segment", "bytes", "why"), [_unused(each) for each in found.unused]),
    }
    return {title: table for title, table in drawn.items() if table}


def costs_lines(found: Sequence[Costs]) -> list[str]:
    """Return costs for people."""
    lines: list[str] = []
    for one in found:
        owner = ", ".join(f"{kind} {name}" for kind, name in (("team", one.team), ("project", one.project)) if name)
        since = f" since {one.since}" if one.since else ""
        lines += [f"{one.product}{f' ({owner})' if owner else ''}{since}: {said(one.all)}"]
        lines += _aligned(("stage", *SUM), stage_rows(one))
        lines += _aligned(MODEL, [_model(each) for each in one.models[-SHOWN:]])
        lines += _aligned(RETRAINED, retrained_rows(one))
        if one.per_point_s is not None:
            lines.append(f"  {one.gained:+.4f} {one.metric} in all promotions: {one.per_point_s:.1f} s a point (0.01)")
        if one.budget:
            words = ", ".join(each.words for each in one.budget.used)
            over = "; over budget" if one.budget.exceeded else ""
            lines.append(f"  budget of {one.budget.days:g} days: {words}{over}")
        lines += [
            f"  unused: {one.product}@{each.version} ({each.segment}): {each.why}, {_size(each.bytes)}"
            for each in one.unused
        ]
    for kind in ("team", "project"):
        lines += [f"{kind} {name}: {said(cost)}" for name, cost in by_owner(found, kind).items()]
    return lines or ["no product is declared; mlops-assets init writes one"]


def said(cost: Sum) -> str:
    """Return a sum in words."""
    missing = f"; {cost.unmeasured} records are from before times were measured" if cost.unmeasured else ""
    return f"{cost.records:,} records, {cost.cpu_s:,.1f} CPU s, {cost.gpu_s:,.1f} GPU s, {_size(cost.bytes)}{missing}"


def stage_rows(found: Costs) -> list[Row]:
    """Return a row per stage that has made anything, and who that was for."""
    named = {
        **found.stages,
        "of these for models": sum((each.cost for each in found.models), Sum()),
        "data no model has used": found.unlearned,
        "watching traffic": found.watching,
        "deploying alone": found.deploying,
    }
    return [(name, *_sum(cost)) for name, cost in named.items() if cost.records]


def retrained_rows(found: Costs) -> list[Row]:
    """Return a row per retraining decision, newest first."""
    return [
        (
            each.at[:16],
            each.segment,
            " ".join(map(str, each.versions)),
            _s(each.cost.cpu_s),
            _s(each.cost.gpu_s),
            _signed(each.gained),
            _s(each.per_point_s),
            each.reason[:80],
        )
        for each in reversed(found.retrained[-SHOWN:])
    ]


def _model(each: ModelCost) -> Row:
    cost = each.cost
    shares = (_s(part.cpu_s + part.gpu_s) for part in (each.training, each.gate, each.data))
    gained = (_signed(each.gained), _s(per_point(cost, each.gained)))
    answer = each.answer or "undecided"
    return (str(each.version), each.segment, each.window, answer, _s(cost.cpu_s), _s(cost.gpu_s), *shares, *gained)


def _unused(each: Unused) -> Row:
    return (str(each.version), each.segment, f"{each.bytes:,}", each.why)


def _sum(cost: Sum) -> Row:
    times = (_s(cost.cpu_s), _s(cost.gpu_s), _s(cost.wall_s))
    return (f"{cost.records:,}", *times, f"{cost.rows_in:,}", f"{cost.rows_out:,}", f"{cost.bytes:,}")


def _s(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:,.1f}" if seconds < 1e4 else f"{seconds:,.0f}"


def _signed(gained: float | None) -> str:
    return "" if gained is None else f"{gained:+.4f}"


def _size(count: int) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.2f} MB"


def _aligned(heads: Row, rows: Sequence[Row]) -> list[str]:
    """Return a table in columns, text left and numbers right; nothing if it has no rows."""
    if not rows:
        return []
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    numeric = [all(_is_number(row[place]) for row in rows) for place in range(len(heads))]
    return [
        "  "
        + "  ".join(
            cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in (heads, *rows)
    ]


def _is_number(cell: str) -> bool:
    return not cell.strip("+-0123456789.,")


def _markdown(heads: Row, rows: Iterable[Row]) -> str:
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if len(lines) > 2 else ""
