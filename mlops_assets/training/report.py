"""A model's record -> what its MLflow run says: parameters, metrics, pictures, the model, and where it came from."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

import msgspec

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import canonical
from mlops_assets.training.built import trials_of
from mlops_assets.training.columns import ColumnStatistics, as_csv
from mlops_assets.training.export import FOLDER, Model, exported, logged
from mlops_assets.training.fitting import Trial
from mlops_assets.training.model import decode_spec
from mlops_assets.training.shown import Shown, example_inputs
from mlops_assets.training.tracking import Report

MOST_COLUMNS = 50  # whose statistics are metrics too: MLflow's page of a run draws a chart of each
SECTION = "training columns"  # in MLflow's UI; it stands below that of the other metrics
COUNTED = ("rows", "rows_used", "windows_used", "held_out_rows")


def report(archive: Archive, held: Held, shown: Shown, *, run_id: str, tags: Mapping[str, str]) -> Report:
    """Return what the MLflow run `run_id` says of a model; `shown` is what its held-out rows show."""
    facts, spec = held.record.facts, decode_spec(archive.data(held, "spec"))
    at = datetime.fromisoformat(held.envelope.at)
    params = msgspec.convert(facts["trainer_params"], dict[str, int | float | str | bool])
    counted = {name: msgspec.convert(facts[name], int) for name in COUNTED}
    columns = msgspec.json.decode(archive.data(held, "columns"), type=list[ColumnStatistics])
    model = Model(
        spec=spec,
        data=archive.data(held, "model"),
        suffix=held.file("model").address.rpartition(".")[2],
        record=held.id,
        made=at,
        run_id=run_id,
        example=example_inputs(archive, held, spec),
    )
    return Report(
        name=str(held.record.place),
        at=at,
        params={"trainer": spec.kind, "seed": held.record.seed, **counted, **params},
        metrics={**shown.numbers, **(_as_metrics(columns) if len(columns) <= MOST_COLUMNS else {})},
        history=msgspec.json.decode(archive.data(held, "history"), type=dict[str, list[float]]),
        tags={**tags, "mlflow.log-model.history": canonical([logged(model)]).decode()},
        artifacts={
            **{f"plots/{name}.svg": svg.encode() for name, svg in shown.pictures.items()},
            "columns.csv": as_csv(columns),
            **{f"{FOLDER}/{name}": data for name, data in exported(model).items()},
        },
        nested=[_trial(number, each, at, tags) for number, each in enumerate(trials_of(archive, held), start=1)],
    )


def origin_tags(*, record: str, run_id: str, asset: str, partition: str, ui_url: str) -> dict[str, str]:
    """Return the tags that lead from an MLflow run back to the Dagster run, the partition and the model's record."""
    run = f"{ui_url}/runs/{run_id}"
    page = f"{ui_url}/assets/{asset}?view=partitions&partition={quote(partition)}"
    note = f"[`{asset}` `{partition}`]({page}) by [Dagster run {run_id}]({run}); record `{record}`."
    return {
        "record": record,
        "dagster/run_id": run_id,
        "dagster/asset_key": asset,
        "dagster/partition": partition,
        "dagster/url": run,
        "dagster/asset_url": page,
        "mlflow.note.content": note,
    }


def _as_metrics(columns: Sequence[ColumnStatistics]) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in columns:
        name = re.sub(r"[^\w .:-]", "_", each.column)  # what MLflow allows in the name of a metric
        figures = {"mean": each.mean, "sd": each.sd, "nulls": float(each.nulls)}
        found |= {f"{SECTION}/{name} {figure}": value for figure, value in figures.items() if value is not None}
    return found


def _trial(number: int, trial: Trial, at: datetime, of: Mapping[str, str]) -> Report:
    loss = {"validation loss": trial.loss} if trial.loss is not None else {}
    told = {"mlops_assets/problem": trial.problem} if trial.problem else {}
    told |= {name: of[name] for name in ("record", "dagster/run_id") if name in of}
    return Report(
        name=f"trial {number}: {trial.kind}",
        at=at,
        params={"trainer": trial.kind, **trial.params},
        metrics={**trial.metrics, **loss},
        history=trial.history,
        tags={"trial": str(number), "won": str(trial.won).lower(), **told},
    )
