"""A backtest -> the lines that the command prints."""

from mlops_assets.backtest.outcome import Backtest, Row

HEAD = ("policy", "quality", "kept", "retrains", "evenly", "best", "train s", "value", "alarms", "false")
NOTES = """\
kept: share of what `every window` gains over `never`; evenly: as many retrains, evenly spaced; best: as many, in
hindsight; alarms: occasions to retrain with open alarms; false: those after which a model trained then was no better.
Every trained model is served: gate and approvals are not replayed. → is the policy as declared."""


def lines(found: Backtest) -> list[str]:
    """Return the table with what it is about and what it leaves out."""
    first, last = found.windows[0], found.windows[-1]
    better = "higher is better" if found.higher_is_better else "lower is better"
    head = (
        f"{found.product}, segment {found.segment}: {found.metric} ({better}) on {found.rows:,} rows, {first} to {last}"
    )
    rows = [HEAD, *(cells(row) for row in found.policies)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEAD))]
    table = ["  ".join(_set(cell, widths[i], left=i == 0) for i, cell in enumerate(row)).rstrip() for row in rows]
    skipped = [f"no model of {window}: {problem}" for window, problem in found.skipped.items()]
    return [
        head,
        "",
        *table,
        "",
        *NOTES.splitlines(),
        *([f"Caution: {found.caution}."] if found.caution else []),
        *skipped,
    ]


def cells(row: Row) -> tuple[str, ...]:
    """Return a policy's line as text; what does not apply is empty."""
    return (
        f"{'→ ' if row.declared else ''}{row.policy}",
        f"{row.quality:.4f}",
        "" if row.kept is None else f"{row.kept:.0%}",
        str(row.retrains),
        f"{row.evenly:.4f}",
        f"{row.best:.4f}",
        f"{row.seconds:.1f}",
        "" if row.value is None else f"{row.value:,.0f}",
        "" if row.alarms is None else str(row.alarms),
        "" if row.false_alarms is None else str(row.false_alarms),
    )


def _set(text: str, width: int, *, left: bool) -> str:
    return text.ljust(width) if left else text.rjust(width)
