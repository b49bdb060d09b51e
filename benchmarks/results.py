"""Measured figures -> results.json and RESULTS.md. A named run replaces only its own rows."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

JSON, TABLE = "results.json", "RESULTS.md"
HEAD = """\
# Benchmarks

Written by `make bench [ONLY=name]`, together with `results.json`. Each figure is the best of several runs, measured
beside a peer or a floor in the same run; every process has one thread for its numerics. An aim bounds the ratio where
the name says `_vs_`, else the figure. In the tables with parts in columns a figure in brackets is the one beside it.

`orchestration_s_per_partition` and `graph_vs_script_1m` time both sides warm, after a small product in the same
process: imports and new databases are not in them; `definitions_validate_s` has the imports.

`serve` measures all servers in turns, with one client that looks at every answer. Its aims: p50 at most 5 times
`Booster.predict` with a column list; with the log on, at least 3 times FastAPI's requests a second at 8 connections
(`async def` or `def`, whichever is faster) and 40 times MLflow's; a rollback within 50 ms of its act.

Its latencies are those of one connection whose two ends share a core. On `two cores` each wakes the other's, which
`bare socket`, a server that answers without reading, pays too. `30 columns` is a model of as many; else there are nine.

"""


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One row: a figure, what it stands beside, and whether it is at most its aim, or `at_least`.

    A part is called `figure/part`. Figures that are measured together under another name have that as their `group`.
    """

    name: str
    figure: float
    unit: str
    beside: str | None
    beside_figure: float | None
    ratio: float | None
    aim: float | None
    met: bool | None
    at_least: bool = False
    group: str = ""

    @property
    def line(self) -> str:
        """The row in words."""
        aimed = "" if self.aim is None else f"; aim {_aim(self)}: {'met' if self.met else 'missed'}"
        beside = "" if self.beside_figure is None else f"; {self.beside}: {_short(self.beside_figure)}"
        ratio = "" if self.ratio is None else f"; ratio {_short(self.ratio)}"
        return f"{self.name}: {_short(self.figure)} {self.unit}{beside}{ratio}{aimed}"


Measure = Callable[[], list[Result]]


def result(
    name: str,
    figure: float,
    unit: str,
    *,
    beside: str | None = None,
    beside_figure: float | None = None,
    aim: float | None = None,
    at_least: bool = False,
) -> Result:
    """Return the row of a figure; `beside` says whose `beside_figure` is, in the same unit."""
    ratio = figure / beside_figure if beside_figure else None
    bounded = ratio if "_vs_" in name else figure
    return Result(
        name=name,
        figure=_rounded(figure),
        unit=unit,
        beside=beside,
        beside_figure=None if beside_figure is None else _rounded(beside_figure),
        ratio=None if ratio is None else _rounded(ratio),
        aim=aim,
        met=None if aim is None or bounded is None else (bounded >= aim if at_least else bounded <= aim),
        at_least=at_least,
    )


def run(folder: Path, measures: Mapping[str, Measure], *, only: str | None, machine: str) -> list[Result]:
    """Measure all figures, or `only` one, write them to `folder` one by one, and return what was measured."""
    measured: list[Result] = []
    for name in [only] if only else measures:
        found = [_grouped(row, name) for row in measures[name]()]
        measured += found
        if found:  # else it was left out, and what was measured before stands
            write(folder, replaced(read(folder), name, found, order=list(measures)), machine)
    return measured


def replaced(rows: Sequence[Result], name: str, found: Sequence[Result], *, order: Sequence[str]) -> list[Result]:
    """Return `rows` with `found` in place of those of the figure `name` and its parts; unknown figures are left out."""
    kept = [row for row in rows if _figure(row) != name and _figure(row) in order]
    return sorted([*kept, *found], key=lambda row: order.index(_figure(row)))


def read(folder: Path) -> list[Result]:
    """Return the rows written before."""
    path = folder / JSON
    return msgspec.json.decode(path.read_bytes(), type=list[Result]) if path.exists() else []


def write(folder: Path, rows: Sequence[Result], machine: str) -> None:
    """Write both files."""
    (folder / JSON).write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
    (folder / TABLE).write_text(f"{HEAD}{machine}\n\n{table(rows)}")


def table(rows: Sequence[Result]) -> str:
    """Return the rows as Markdown tables: one of all that has no group, and those of each group, parts beside."""
    head = ("figure", "", "unit", "beside", "", "ratio", "aim", "met")
    cut = ("---", "---:", "---", "---", "---:", "---:", "---:", "---")
    plain = _lines(head, cut, *(_cells(row) for row in rows if not row.group))
    units = {row.name: row.unit for row in rows}

    def kind_of(row: Result) -> tuple[str, str, str]:
        return row.group, row.name.partition("_")[0], units[row.name.partition("/")[0]]

    kinds = dict.fromkeys(kind_of(row) for row in rows if row.group)
    return "".join([plain, *(_beside([row for row in rows if kind_of(row) == kind]) for kind in kinds)])


def _beside(rows: Sequence[Result]) -> str:
    """Return the table of figures of one kind and unit in a group: a line each, with its parts in columns."""
    names = dict.fromkeys(row.name.partition("/")[0] for row in rows)
    units = {row.name.partition("/")[2]: row.unit for row in rows}
    named = {part: {row.beside for row in rows if row.beside and row.name.partition("/")[2] == part} for part in units}
    beside = {part: f" ({next(iter(who))})" for part, who in named.items() if len(who) == 1}
    held = {row.name: row for row in rows}
    head = [f"{part} {units[part]}{beside.get(part, '')}".strip() for part in units]
    lines = [
        [
            name,
            *(_both(held.get(f"{name}/{part}" if part else name), named=part not in beside) for part in units),
            _met(held[name]),
        ]
        for name in names
    ]
    return "\n" + _lines([rows[0].group, *head, "met"], ["---", *["---:"] * len(head), "---"], *lines)


def _lines(*lines: Sequence[str]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _both(row: Result | None, *, named: bool) -> str:
    """Return a figure, in brackets the one that it stands beside (`named` says whose that is), and a part's aim."""
    if row is None:
        return ""
    whose = f"{row.beside}: " if named else ""
    other = "" if row.beside_figure is None else f" ({whose}{_short(row.beside_figure)})"
    if "/" in row.name and row.met is not None:
        other += f" {_aim(row)}: {'met' if row.met else 'missed'}"
    return f"{_short(row.figure)}{other}"


def _met(row: Result) -> str:
    return {True: "yes", False: "no", None: ""}[row.met]


def _cells(row: Result) -> tuple[str, ...]:
    beside = (row.beside or "", _short(row.beside_figure), _short(row.ratio))
    return (row.name, _short(row.figure), row.unit, *beside, _aim(row), _met(row))


def _grouped(row: Result, name: str) -> Result:
    """Return a row measured under `name`, of which it is the group if it is not its figure."""
    return row if _figure(row) == name else msgspec.structs.replace(row, group=name)


def _figure(row: Result) -> str:
    return row.group or row.name.partition("/")[0]


def _aim(row: Result) -> str:
    if row.aim is None:
        return ""
    bound = f"{'≥' if row.at_least else '≤'} {row.aim:g}"
    return f"ratio {bound}" if "_vs_" in row.name else bound


def _rounded(value: float) -> float:
    """Return `value` to four digits."""
    return float(f"{value:.4g}")


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
