"""A model file made elsewhere -> a segment's first champion: recorded, registered, and promoted on a person's word."""
# MLflow's types are partial.
# pyright: reportUnknownMemberType=false

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.ledger import Act, stamp
from mlops_assets.evidence.step import Step, parse
from mlops_assets.intake.ingest import ingest
from mlops_assets.operations.approving import Answered, decided
from mlops_assets.operations.flow import step
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.registry.adoption.adopt import prepared_adoption
from mlops_assets.registry.adoption.adopted import ORIGIN, UNKNOWN
from mlops_assets.registry.adoption.model_file import ModelFile, read_model_file
from mlops_assets.registry.people.acting import Signer, signer
from mlops_assets.registry.people.pending import pending
from mlops_assets.registry.people.people import read_people
from mlops_assets.settings import Settings
from mlops_assets.settings import adopt as use
from mlops_assets.training.export import FOLDER, Model, exported
from mlops_assets.training.model import decode_spec
from mlops_assets.training.tracking import MlflowTracker, Report
from mlops_assets.windows import ALL


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """What is adopted for which segment, by whom, and why."""

    step: Step
    partition: str
    file: ModelFile
    who: Signer
    reason: str


def adopt(settings: Settings, name: str, file: Path, *, segment: str | None, reason: str, key: Path | None) -> Answered:
    """Make the model in `file` the first champion of a segment, and deploy it. Done twice, it is done once.

    Raises:
        LookupError: If there is no such product or segment.
        ValueError: If the segment has a champion, or the file does not fit; it says what is right.
        NotReady: If nobody knows the product's features yet.
    """
    use(settings)
    product = read_catalogue(settings.defs).product(name)
    chosen = _segment(product, segment)
    found = read_model_file(file)
    people = read_people(settings.defs)
    model = step(Stage.MODEL, product, settings)
    partition = f"{chosen}|{product.windows.key(product.windows.start) if product.windows else ALL}"
    case = Adoption(step=model, partition=partition, file=found, who=signer(people, key), reason=reason)
    waiting = pending(model.archive, product, people, datetime.now(UTC))
    with model.alone(partition):
        known = _adopted(model.archive, product, chosen, found)
        if known is None:
            _check_first(case, [each.version for each in waiting if each.partition == partition])
            ingest(model.archive, product, settings)
            prepared = prepared_adoption(model, found, partition)
            known = _entered(case, model.archive.make(prepared.recipe, prepared.inputs, prepared.build))
    said = f"{name}[{chosen}]: {found.name} (sha256 {found.sha256[:12]}…) is {name}@{known.version}, of unknown origin"
    return decided(settings, model.archive, product, known, said)


def _segment(product: ModelProduct, segment: str | None) -> str:
    known = ", ".join(product.segments)
    if segment is None and len(product.segments) > 1:
        raise ValueError(f"{product.name} has the segments {known}; right is --segment with one of them")
    if segment is not None and segment not in product.segments:
        raise LookupError(f"no segment {segment!r}; known segments: {known}")
    return segment or next(iter(product.segments))


def _adopted(archive: Archive, product: ModelProduct, segment: str, file: ModelFile) -> Act | None:
    """Return the act that adopted the same file for the segment before, if there is one."""
    acts = [act for act in archive.ledger.acts(product.name, "adopt") if act.segment == segment]
    return next((act for act in acts if act.facts.get("sha256") == file.sha256), None)


def _check_first(case: Adoption, waiting: list[int]) -> None:
    name, segment = case.step.product.name, parse(case.partition)[0]
    champion = case.step.archive.ledger.champion(name, segment)
    if champion is not None:
        raise ValueError(
            f"{name}[{segment}] has the champion {name}@{champion.version}; a model of unknown origin may only be the "
            "first: a candidate that is trained here is compared with the champion"
        )
    if waiting:
        raise ValueError(f"{name}@{waiting[0]} waits for approval; approve or reject it first")


def _entered(case: Adoption, held: Held) -> Act:
    """Register the record in MLflow and in the ledger, and enter who adopted it; each once, even after a kill."""
    archive, product = case.step.archive, case.step.product
    segment, window = parse(case.partition)
    run_id, version = _registered(case, held)
    now = stamp(datetime.now(UTC))
    registered = archive.ledger.register(
        Act(
            kind="register",
            product=product.name,
            segment=segment,
            version=version,
            record=held.id,
            by="adoption",
            reason=case.reason,
            at=now,
            facts={"mlflow_run_id": run_id, "decision": None, "window": window, ORIGIN: UNKNOWN},
        )
    )
    facts = {ORIGIN: UNKNOWN, "file": case.file.name, "sha256": case.file.sha256, "window": window}
    act = msgspec.structs.replace(registered, kind="adopt", at=now, facts=facts)
    return archive.ledger.add(case.who.acted(act))


def _registered(case: Adoption, held: Held) -> tuple[str, int]:
    """Return MLflow's run and version of the record."""
    product, (segment, window) = case.step.product.name, parse(case.partition)
    tracker = MlflowTracker(case.step.settings.mlflow_uri)
    tags = {"record": held.id, ORIGIN: UNKNOWN, "file": case.file.name, "sha256": case.file.sha256}
    run_id = tracker.run_of(product, held.id)
    if run_id is None:
        experiment = tracker.experiment(product)
        run_id = tracker.client.create_run(experiment, run_name=f"adopted {case.file.name}", tags=tags).info.run_id
    tracker.log(
        run_id,
        Report(
            name=f"adopted {case.file.name}",
            at=datetime.fromisoformat(held.envelope.at),
            tags=tags,
            artifacts={f"{FOLDER}/{name}": data for name, data in exported(_model(case, held, run_id)).items()},
        ),
    )
    version = tracker.register(product, run_id, record=held.id, segment=segment, window=window)
    tracker.finish(run_id)
    return run_id, version


def _model(case: Adoption, held: Held, run_id: str) -> Model:
    """Return what MLflow gets of the model. It has no input example: nobody knows its rows."""
    spec = decode_spec(case.step.archive.data(held, "spec"))
    return Model(
        spec=spec,
        data=case.file.data,
        suffix=case.file.suffix,
        record=held.id,
        made=datetime.fromisoformat(held.envelope.at),
        run_id=run_id,
        example=pl.DataFrame(schema=list(spec.inputs)),
    )
