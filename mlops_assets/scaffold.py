"""A CSV or Parquet file -> the declaration of a product that learns from it."""

import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import yaml

from mlops_assets.catalogue import TYPE
from mlops_assets.intake.cells import label_text, read
from mlops_assets.intake.columns import infer_columns
from mlops_assets.intake.functions import did_you_mean
from mlops_assets.intake.proposals import (
    propose_features,
    propose_gate,
    propose_kind,
    propose_trainer_windows,
    propose_windows,
)
from mlops_assets.intake.sources import read_source
from mlops_assets.parts import Source
from mlops_assets.product import ModelProduct

MOST_SEGMENTS = 100


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What the user said of the file."""

    name: str
    path: str
    label: str
    time: str | None
    key: str | None
    segment: str | None

    @property
    def roles(self) -> dict[str, str]:
        roles = {"label": self.label, "time": self.time, "key": self.key, "segment": self.segment}
        return {role: column for role, column in roles.items() if column is not None}


def write_declaration(
    *,
    name: str,
    file: Path,
    label: str,
    time: str | None = None,
    key: str | None = None,
    segment: str | None = None,
    defs_dir: Path,
    project_root: Path,
) -> Path:
    """Write `defs_dir/<name>/defs.yaml` from the data in `file` and return its path.

    Raises:
        ValueError: If the name, the file or what a column holds is not right for its role.
        LookupError: If there is no such column.
        FileExistsError: If there is such a declaration.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", name):
        raise ValueError(f"{name!r} is no name; right are lower-case letters, digits and _, the first one a letter")
    written = defs_dir / name / "defs.yaml"
    if written.exists():
        raise FileExistsError(f"{written} is there already; right is another name, or to edit that file")
    absolute = file.resolve()
    inside = absolute.is_relative_to(project_root.resolve())
    path = absolute.relative_to(project_root.resolve()).as_posix() if inside else str(absolute)
    frame = read_source(Source(path=str(absolute)), project_root)
    asked = _Asked(name=name, path=path, label=label, time=time, key=key, segment=segment)
    _check_roles(asked, frame)
    text = _declaration(asked, frame)
    ModelProduct.model_validate(yaml.safe_load(text)["attributes"])
    written.parent.mkdir(parents=True, exist_ok=True)
    with written.open("x") as out:
        out.write(text)
    return written


def _check_roles(asked: _Asked, frame: pl.DataFrame) -> None:
    known = frame.columns
    for role, column in asked.roles.items():
        if column not in known:
            raise LookupError(
                f"--{role}: no column {column!r}{did_you_mean(column, known)}; columns: {', '.join(known)}"
            )
    if len(set(asked.roles.values())) < len(asked.roles):
        raise ValueError(f"a column has one role; found {', '.join(f'{r}: {c}' for r, c in asked.roles.items())}")
    if asked.key is not None and (repeated := frame[asked.key].filter(frame[asked.key].is_duplicated())).len():
        found = f"{asked.key!r} repeats in {len(repeated)} rows, as {repeated[0]!r}"
        raise ValueError(f"--key: {found}; right is a column that never repeats")
    if asked.time is not None:
        bad = frame[asked.time].filter(read(frame[asked.time], "datetime").is_null())
        if len(bad) > 0.01 * frame.height:
            found = f"{len(bad)} cells of {asked.time!r} are no time, as {bad[0]!r}"
            raise ValueError(f"--time: {found}; right is ISO 8601, as 2026-01-31T12:00:00Z")


def _segments(asked: _Asked, frame: pl.DataFrame) -> list[str]:
    if asked.segment is None:
        return []
    found = frame[asked.segment].cast(pl.String).drop_nulls().unique().sort().to_list()
    odd = [value for value in found if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", value)]
    if len(found) > MOST_SEGMENTS or odd:
        shown = repr(odd[0]) if odd else f"{len(found)} values"
        right = f"at most {MOST_SEGMENTS} values of letters, digits, _ . and -"
        raise ValueError(f"--segment: {asked.segment!r} holds {shown}; right is {right}")
    return found


def _declaration(asked: _Asked, frame: pl.DataFrame) -> str:
    """Return the declaration as commented YAML."""
    kind = propose_kind(frame[asked.label])
    metric, floor, meaning = propose_gate(frame[asked.label], kind)
    segments = _segments(asked, frame)
    features, left_out = propose_features(frame, infer_columns(frame), asked.label, list(asked.roles.values()))
    if not features:
        raise ValueError(f"{asked.path}: no column is left to learn from: {_told(left_out)}")
    places = {"path": asked.path, "time": asked.time, "key": asked.key, "segment": asked.segment}
    source = {role: column for role, column in places.items() if column is not None}
    label = {"column": asked.label, "delay": "0d", "kind": kind}
    fields: dict[str, tuple[object, str]] = {
        "name": (asked.name, ""),
        "source": (source, ""),
        "label": (label, "delay: after the row, until it is known" + _positive(frame[asked.label], kind)),
    }
    if segments:
        fields["segments"] = (segments, "one model each")
    if asked.time is not None:
        fields |= _windows(read(frame[asked.time], "datetime"), max(1, len(segments)))
    fields["features"] = (features, "or one function of the row: package.module.function")
    fields.setdefault("trainer", ({"kind": "lightgbm"}, ""))
    fields["gate"] = ({"metric": metric, "floor": floor}, meaning)
    head = f"# {frame.height:,} rows of {Path(asked.path).name}. Make it: mlops-assets backfill {asked.name}"
    lines = [f"  {name}: {_flow(value)}{f'  # {said}' if said else ''}" for name, (value, said) in fields.items()]
    lines += [f"  # left out: {_told(left_out)}"] if left_out else []
    return "\n".join([head, f"type: {TYPE}", "attributes:", *lines]) + "\n"


def _positive(labels: pl.Series, kind: str) -> str:
    """Return which class the scores of a binary label are the probability of: the last one."""
    return f"; scores are the probability of {label_text(labels).drop_nulls().max()!r}" if kind == "binary" else ""


def _windows(times: pl.Series, segments: int) -> dict[str, tuple[object, str]]:
    windows = propose_windows(times)
    hourly = windows.every == "hour"
    start, end = (at.replace(tzinfo=None) if hourly else at.date() for at in (windows.start, windows.end))
    learned = propose_trainer_windows(windows, len(times), segments)
    return {
        "windows": ({"every": windows.every, "start": start, "end": end}, f"{windows.count} windows, one model each"),
        "monitor": ({"every": "hour" if hourly else "day"}, "how finely live traffic is judged"),
        "trainer": ({"kind": "lightgbm", "windows": learned}, "learns from the last windows"),
    }


def _told(left_out: dict[str, str]) -> str:
    return "; ".join(f"{name} ({why})" for name, why in left_out.items())


def _flow(value: object) -> str:
    """Return `value` as YAML on one line."""
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True).strip()
