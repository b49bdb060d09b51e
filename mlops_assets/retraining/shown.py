"""Decisions and drifts -> the lines and the table that people read."""

from collections.abc import Mapping, Sequence

from mlops_assets.retraining.episodes import Drift, Found, mean
from mlops_assets.retraining.stored import Stored
from mlops_assets.retraining.words import took

ID = 12  # digits of a record's id that people see; a command takes as many as are unique


def decision_lines(decisions: Sequence[Stored], alarms: Mapping[str, Found]) -> list[str]:
    """Return decisions for people: when, for what, the answer and its reasons; below it who asked, and the alarms."""
    lines: list[str] = []
    for row in decisions:
        lines.append(f"{row.at[:19]} {row.segment:10} {answer(row):22} {'; '.join(row.reasons)}")
        behind = [alarms[id] for id in row.considered or row.alarms if id in alarms]
        asked = [f"asked by {row.trigger}"] if row.trigger else []
        if told := [*asked, *([_alarms(behind)] if behind else [])]:
            lines.append(f"{'':19} {'':10} {'; '.join(told)}")
    return lines or ["no decision yet: no window of live traffic was judged"]


def drift_lines(found: Sequence[Drift]) -> list[str]:
    """Return drifts for people, each with how soon it was found and repaired, and the means; none if there are none."""
    if not found:
        return []
    lines = [f"  {drift.segment:10} {drift.kind:10} {_windows(drift)}: {_course(drift)}" for drift in found]
    means = mean(found)
    return ["drifts", *lines, f"  {mean_words(means.to_detect_s, means.to_repair_s)}"]


def mean_words(to_detect_s: float | None, to_repair_s: float | None) -> str:
    """Return mean times, in seconds, in words."""
    repair = "none is repaired yet" if to_repair_s is None else f"mean time to repair {took(to_repair_s)}"
    return "no drift yet" if to_detect_s is None else f"mean time to detect {took(to_detect_s)}, {repair}"


def table(decisions: Sequence[Stored]) -> str:
    """Return decisions as a Markdown table, newest first."""
    head = "| product time | segment | answer | asked by | reasons |\n|---|---|---|---|---|"
    rows = [
        [row.at[:19], row.segment, answer(row), row.trigger or "", "; ".join(row.reasons)]
        for row in reversed(decisions)
    ]
    return "\n".join([head, *("| " + " | ".join(_cell(each) for each in row) + " |" for row in rows)])


def answer(decision: Stored) -> str:
    """Return the answer of a decision."""
    return f"retrain on {decision.target}" if decision.retrain else "no"


def _alarms(behind: Sequence[Found]) -> str:
    """Return the alarms behind a decision: the first and the last, and how many there are."""
    ends = [behind[0], behind[-1]] if len(behind) > 1 else behind
    shown = " to ".join(f"{alarm.window} {alarm.kind} {alarm.id[:ID]}" for alarm in ends)
    return f"alarm {shown}" if len(behind) == 1 else f"{len(behind)} alarms, {shown}"


def _windows(drift: Drift) -> str:
    return drift.first if drift.windows == 1 else f"{drift.first} to {drift.last} ({drift.windows} windows)"


def _course(drift: Drift) -> str:
    parts = [f"found after {took(drift.detect.product_s)}"]
    if drift.repair is not None:
        parts.append(f"repaired after {took(drift.repair.product_s)} by {drift.by}")
        parts += [] if drift.deployed else ["not deployed yet"]
    else:
        parts.append(drift.ending if drift.by is None else f"{drift.ending} by {drift.by}")
    if drift.detect.wall_s != drift.detect.product_s:
        repair = f", repair {took(drift.repair.wall_s)}" if drift.repair else ""
        parts.append(f"wall clock: from sealing {took(drift.detect.wall_s)}{repair}")
    return ", ".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
