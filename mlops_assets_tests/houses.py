"""A small product of two segments and weekly windows, its file, and its steps and graph in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import msgspec
import numpy as np
import polars as pl

from mlops_assets.definitions import build
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.ledger import Act
from mlops_assets.loop import Loop
from mlops_assets.operations.flow import step
from mlops_assets.parts import Label, Source
from mlops_assets.product import DATA, ModelProduct, Stage
from mlops_assets.rules import Gate, Trainer
from mlops_assets.serving.log.ids import Ids, InferenceId, parse, text, to_ms
from mlops_assets.serving.log.outcomes import OutcomeLog, filed_outcomes
from mlops_assets.serving.log.writer import Body, Columns, LogWriter, Part, Row
from mlops_assets.serving.workers import Registration, Worker
from mlops_assets.settings import Settings
from mlops_assets.training.model import decode_spec, to_matrix
from mlops_assets.training.trainers import load_predictor
from mlops_assets.windows import Grid

START = datetime(2026, 1, 5)
WEEKS = ("2026-01-05", "2026-01-12", "2026-01-19")
TOWNS = ("bath", "york")
TREES = {"num_iterations": 8, "min_data_in_leaf": 5}
HOUSES = ModelProduct(
    name="houses",
    source=Source(path="houses.csv", time="seen", key="id", segment="town"),
    label=Label(column="sold", delay=timedelta(days=2)),
    segments=TOWNS,
    windows=Grid(every="week", start=START),
    features=("price", "rooms", "street"),
    trainer=Trainer(windows=2, params=dict(TREES)),
    gate=Gate(metric="auc", floor=0.6),
    owners=("team:homes",),
    description="Whether a house is sold within a month.",
)


def sales(weeks: int = 2, *, rows: int = 70, cheap: float = 50) -> pl.DataFrame:
    """`rows` houses a week and town; those under `cheap` are sold, but for one in ten."""
    draw = np.random.default_rng(7)
    days = [START + timedelta(days=7 * week, minutes=100 * row) for week in range(weeks) for row in range(rows)]
    parts: list[pl.DataFrame] = []
    for town in TOWNS:
        price = draw.uniform(0, 100, len(days)).round(1)
        sold = (price < cheap) ^ (draw.random(len(days)) < 0.1)
        fields = {
            "id": [f"{town}-{at:%m%d%H%M}" for at in days],
            "seen": days,
            "town": [town] * len(days),
            "price": price,
            "rooms": draw.integers(1, 9, len(days)),
            "street": draw.choice(["high", "low", "mill"], len(days)),
            "sold": sold.astype(int),
        }
        parts.append(pl.DataFrame(fields))
    return pl.concat(parts).sort("seen", "id")


def deployment(folder: Path, frame: pl.DataFrame | None = None) -> Settings:
    """Settings whose evidence, declarations and source are in `folder`."""
    settings = Settings(
        home=folder / "home",
        root=folder,
        defs=folder / "defs",
        dagster_home=folder / "home" / "dagster",
        mlflow_uri=f"sqlite:///{folder / 'mlflow.db'}",
        ui_url="http://127.0.0.1:3000",
    )
    write(settings, sales() if frame is None else frame)
    return settings


def write(settings: Settings, frame: pl.DataFrame) -> None:
    frame.write_csv(settings.root / "houses.csv")


def declare(settings: Settings, product: ModelProduct) -> None:
    """Write a product's declaration, in Python, to where this deployment looks for it."""
    folder = settings.defs / product.name
    folder.mkdir(parents=True, exist_ok=True)
    body = product.model_dump_json(exclude_defaults=True)
    (folder / "product.py").write_text(
        f"from mlops_assets.product import ModelProduct\n\nproduct = ModelProduct.model_validate_json({body!r})\n"
    )


def partitions(weeks: int = 2) -> list[str]:
    return [f"{town}|{week}" for week in WEEKS[:weeks] for town in TOWNS]


def make(settings: Settings, product: ModelProduct, partition: str, *stages: Stage) -> dict[Stage, Held]:
    """Make `stages` (the data if none is named) of a partition, in their order, without Dagster."""
    return {stage: step(stage, product, settings).make(partition) for stage in stages or DATA}


def registered(settings: Settings, held: Held, version: int, decision: str | None = None) -> Act:
    """Register a model as the training step does, without MLflow."""
    place = held.record.place
    segment, _, window = place.partition.partition("|")
    act = Act(
        kind="register",
        product=place.product,
        segment=segment,
        version=version,
        record=held.id,
        by="training",
        reason="test",
        at="2026-01-20T00:00:00.000+00:00",
        facts={"window": window, "decision": decision},
    )
    return Archive(settings.home).ledger.register(act)


def champion(settings: Settings, held: Held, version: int) -> Act:
    """Register a model and make it the champion of its segment, as the gate does."""
    known = registered(settings, held, version)
    ledger = Archive(settings.home).ledger
    current = ledger.champion("houses", known.segment or "")
    act = msgspec.structs.replace(known, kind="promote", by="gate")
    return ledger.move_champion(act, expected=current.version if current else None)


def answered(
    settings: Settings,
    model: Held,
    version: int,
    rows: pl.DataFrame,
    at: datetime,
    writer: str,
    variant: str = "champion",
) -> list[str]:
    """Log the answers of a model to `rows`, one request each from `at` (UTC) on, and return their ids."""
    archive = Archive(settings.home)
    spec = decode_spec(archive.data(model, "spec"))
    scores = load_predictor(spec, archive.data(model, "model"))(to_matrix(rows, spec))
    kinds = [(name, column.type) for name, column in spec.inputs.items()]
    features = [(name, "str" if name in spec.categories else "float") for name in spec.features]
    columns = msgspec.Raw(msgspec.msgpack.encode(Columns(kinds, features)))
    segment = model.record.place.partition.partition("|")[0]
    log, ids, told = LogWriter(settings.serving("houses") / "log", HOUSES.grid, writer), Ids(), []
    for row, score in zip(rows.iter_rows(named=True), scores.tolist(), strict=True):
        id_ = ids.new(to_ms(at) + len(told))
        cells = tuple(row[name] for name, _ in kinds)
        part = Part(segment, version, columns, [Row(None, row["id"], score, cells, None)], variant)
        log.append(id_, Body(9, "d", [part]))
        told.append(text(id_))
    log.close()
    return told


def over(settings: Settings, until: datetime, writer: str, since: datetime = START) -> None:
    """Let a worker say that it logs nothing before `until` any more."""
    since, until = since.replace(tzinfo=UTC), until.replace(tzinfo=UTC)
    worker = Worker(writer=writer, pid=1, url="http://127.0.0.1:9", clock="replay", started=since, since=since)
    Registration(settings.serving("houses"), worker).beat(until)


def outcomes(settings: Settings, told: dict[str, str], at: datetime, writer: str = "w") -> None:
    """File what became of predictions, received at `at` (UTC)."""
    ids = {InferenceId(request=parse(id_).request): label for id_, label in told.items()}
    folder = settings.serving("houses")
    filed = filed_outcomes(folder, HOUSES.grid, list(ids.items()))
    OutcomeLog(folder / "outcomes", writer).append(Ids().new(to_ms(at)), filed)


@contextmanager
def looped(settings: Settings, definitions: dg.Definitions | None = None) -> Iterator[Loop]:
    """The graph of all declared products, run in this process."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Loop(definitions=definitions or build(settings), instance=instance)
