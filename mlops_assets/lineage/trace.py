"""A reference -> the proof: prediction, deployment, model, each partition's snapshot and labels; hashes compared."""

import re

import msgspec

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.records import BrokenEvidence, Place, canonical, digest
from mlops_assets.lineage.acts import act_facts, verify_acts
from mlops_assets.lineage.predictions import Found, lookup
from mlops_assets.lineage.proof import (
    ApprovalFacts,
    CheckFacts,
    ModelFacts,
    PredictionFacts,
    Proof,
    SnapshotFacts,
    Trigger,
)
from mlops_assets.lineage.scored import behind
from mlops_assets.lineage.walk import Walk, walk
from mlops_assets.product import Stage
from mlops_assets.registry.adoption.adopted import UNKNOWN, is_adopted
from mlops_assets.serving.log.personal import HASHED
from mlops_assets.serving.scoring.table import TABLE
from mlops_assets.settings import Settings
from mlops_assets.training.model import decode_spec
from mlops_assets.windows import ALL

FORMS = "an inference id, product@version, a record id, or product/stage[partition]"
DATA = ("source", Stage.DATASET, Stage.FEATURES, TABLE, Stage.SCORES, Stage.PREDICTIONS)


def trace(settings: Settings, ref: str, *, budget_s: float | None) -> Proof:
    """Return the proof for `ref`; tables are re-hashed for `budget_s` seconds, None for all of them.

    The sealed window that holds a prediction always is: nothing else vouches for the prediction's row.

    Raises:
        LookupError: If there is nothing of that name.
    """
    archive = Archive(settings.home)
    kind, roots, found = resolve(settings, archive, ref)
    proof = Proof(ref=ref, kind=kind, walked=Walk())
    _verify_chains(archive, proof.walked)
    if found is not None:
        proof.prediction = _prediction(found)
    for root in roots:
        whole = found is None or root == roots[-1]  # a deployment leads to the models of other segments too
        vouches = found is not None and found.sealed is not None and root == found.sealed.id
        walk(archive, root, budget_s=None if vouches else budget_s, ancestors=whole, into=proof.walked)
    _verify_journal(archive, proof.walked)
    verify_acts(archive, proof.walked)
    _fill(archive, proof)
    return proof


def resolve(settings: Settings, archive: Archive, ref: str) -> tuple[str, list[str], Found | None]:
    """Return what `ref` is, the records to start from (the model last), and the prediction if it is one.

    Raises:
        LookupError: If there is nothing of that name.
    """
    if re.fullmatch(r"[0-9a-f]{64}", ref):
        return "record", [_known(archive, ref)], None
    if model := re.fullmatch(r"([a-z][a-z0-9_]*)@(\d+)", ref):
        act = archive.ledger.version(model[1], int(model[2]))
        if act is None or act.record is None:
            versions = [str(act.version) for act in archive.ledger.acts(model[1], "register")]
            raise LookupError(f"no version {ref!r} in the ledger; known versions: {', '.join(versions) or 'none'}")
        return "model", [act.record], None
    if asset := re.fullmatch(r"([a-z][a-z0-9_]*)/([a-z]+)(?:\[(.+)\])?", ref):
        head = archive.head(Place(product=asset[1], stage=asset[2], partition=asset[3] or ALL))
        if head is None:
            made = list(archive.heads(asset[1], asset[2]))
            raise LookupError(f"no record of {ref!r}; its partitions: {', '.join(made[:5]) or 'none'}")
        return "asset", [head.id], None
    return _resolve_prediction(settings, archive, ref)


def _resolve_prediction(settings: Settings, archive: Archive, ref: str) -> tuple[str, list[str], Found | None]:
    try:
        found = lookup(settings, archive, ref)
    except ValueError as error:
        raise LookupError(f"{ref!r} is no reference; right is {FORMS}") from error
    if found is None:
        raise LookupError(f"no prediction {ref!r}, neither sealed nor in a log")
    registered = archive.ledger.version(found.product.name, found.version)
    if registered is None or registered.record is None:
        raise BrokenEvidence(str(archive.ledger.chain.path), f"no registration of {found.product.name}@{found.version}")
    sealed = [found.sealed.id] if found.sealed else []
    scored = behind(archive, found.row, found.sealed)
    return "prediction", [*sealed, *scored, found.deployment, registered.record], found


def _known(archive: Archive, record_id: str) -> str:
    if not archive.has(record_id):
        raise LookupError(f"no record {record_id!r}")
    return record_id


def _verify_chains(archive: Archive, walked: Walk) -> None:
    """Compute every hash of ledger and journal anew."""
    for chain in (archive.ledger.chain, archive.journal):
        try:
            chain.reread()
        except BrokenEvidence as problem:
            walked.broken.append(str(problem))


def _verify_journal(archive: Archive, walked: Walk) -> None:
    """Check that each record's envelope is one that the journal has of it: else files could be replaced with it."""
    try:
        known = {(link.body["record"], link.body["envelope"]) for link in archive.journal.links()}
    except BrokenEvidence:
        return  # told already
    for held in walked.records.values():
        if (held.id, digest(canonical(held.envelope))) not in known:
            problem = f"{held.record.place}: the envelope of record {held.id[:12]}… is not in it"
            walked.broken.append(str(BrokenEvidence(str(archive.journal.path), problem)))


def _prediction(found: Found) -> PredictionFacts:
    row = found.row
    return PredictionFacts(
        id=str(row["inference_id"]),
        at=str(row["at"]),
        product=found.product.name,
        segment=str(row["segment"]),
        key=None if row["key"] is None else str(row["key"]),
        input={
            name.removeprefix("input."): msgspec.to_builtins(v) for name, v in row.items() if name.startswith("input.")
        },
        hidden={name.removeprefix(HASHED): str(v) for name, v in row.items() if name.startswith(HASHED) and v},
        output=float(str(row["output"])),
        variant=found.variant,
        model_version=found.version,
        deployment=found.deployment,
        sealed=found.sealed is not None,
    )


def _fill(archive: Archive, proof: Proof) -> None:
    """Tell what the walked records are: the model first met, data, labels, checks, and the acts on the model."""
    held = list(proof.walked.records.values())
    model = next((each for each in held if each.record.place.stage == Stage.MODEL), None)
    if model is not None:
        proof.model, proof.approvals = _model(archive, model)
        proof.prediction = proof.prediction and _decided(archive, proof.prediction, model)
    for each in sorted(held, key=lambda h: (h.record.place.stage, h.record.place.partition)):
        place = each.record.place
        if place.stage in DATA and place.partition != ALL:
            proof.data.append(_snapshot(archive, each))
        elif place.stage == Stage.ANNOTATIONS:
            proof.labels.append(_snapshot(archive, each))
        asset = f"{place.product}/{place.stage}"
        proof.checks += [
            CheckFacts(name=check.name, asset=asset, partition=place.partition, passed=check.passed)
            for check in each.record.checks
        ]


def _decided(archive: Archive, made: PredictionFacts, model: Held) -> PredictionFacts:
    """Return the prediction with what its threshold makes of it, as the endpoint said it, and what the log hides."""
    try:
        spec = decode_spec(archive.data(model, "spec"))
    except BrokenEvidence:  # the walk has told it
        return made
    decision = None if spec.threshold is None else made.output >= spec.threshold
    hidden = {name: made.hidden.get(name) for name in spec.inputs if name not in made.input}
    return msgspec.structs.replace(made, threshold=spec.threshold, decision=decision, hidden=hidden)


def _model(archive: Archive, model: Held) -> tuple[ModelFacts, list[ApprovalFacts]]:
    product, code = model.record.place.product, model.record.code
    acts = [act for act in archive.ledger.acts(product) if act.record == model.id]
    registered = next((act for act in acts if act.kind == "register"), None)
    facts = registered.facts if registered else {}
    run = facts.get("mlflow_run_id")
    body = ModelFacts(
        version=f"{product}@{registered.version}" if registered else None,
        record=model.id,
        sha256=model.record.output("model").root,
        mlflow_run_id=run if isinstance(run, str) else None,
        trigger=Trigger(
            kind="adopted" if is_adopted(model.record) else "decision" if facts.get("decision") else "person",
            reason=registered.reason if registered else None,
        ),
        code={"id": code.id, "commit": code.commit, "dirty": code.dirty, "lock": code.lock, "image": code.image},
        params=model.record.params,
        metrics={name: value for name, value in model.record.facts.items() if isinstance(value, float)},
        origin=UNKNOWN if is_adopted(model.record) else None,
    )
    return body, [told for act in acts if (told := act_facts(act)) is not None]


def _snapshot(archive: Archive, held: Held) -> SnapshotFacts:
    output, place = held.record.outputs[0], held.record.place
    file = held.file(output.name)
    return SnapshotFacts(
        asset=f"{place.product}/{place.stage}",
        partition=place.partition,
        record=held.id,
        root=output.root,
        uri=str(archive.home / file.address),
        sha256=file.sha256,
        rows=output.rows,
    )
