"""A reference -> the proof: prediction, deployment, model, every partition's snapshot and labels, each hash compared.

Exit codes: 0 proven, 2 partly (what was not re-hashed is named), 3 broken (what is missing or changed is named).
"""

import re
from dataclasses import dataclass, field

from mlops_assets.evidence.archive import Archive, Held
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.records import BrokenEvidence, Json, Place
from mlops_assets.lineage.predictions import Found, lookup
from mlops_assets.lineage.walk import Walk, walk
from mlops_assets.product import Stage
from mlops_assets.settings import Settings

Body = dict[str, Json]
FORMS = "an inference id, product@version, a record id, or product/stage[partition]"
DATA = ("source", Stage.DATASET, Stage.FEATURES, Stage.PREDICTIONS)


@dataclass(kw_only=True)
class Proof:
    """What a reference rests on, and whether all of it is as it was written."""

    ref: str
    kind: str
    walked: Walk
    prediction: Body | None = None
    model: Body | None = None
    data: list[Body] = field(default_factory=list[Body])
    labels: list[Body] = field(default_factory=list[Body])
    checks: list[Body] = field(default_factory=list[Body])
    approvals: list[Body] = field(default_factory=list[Body])

    @property
    def exit_code(self) -> int:
        """0 proven, 2 partly, 3 broken."""
        return 3 if self.walked.broken else 2 if self.walked.unverified else 0

    def as_json(self) -> Body:
        """Return the proof in the form that others rely on."""
        return {
            "ref": self.ref,
            "kind": self.kind,
            "prediction": self.prediction,
            "model": self.model,
            "data": list(self.data),
            "labels": list(self.labels),
            "checks": list(self.checks),
            "approvals": list(self.approvals),
            "tombstones": [],
            "verified": self.exit_code == 0,
            "unverified": list(self.walked.unverified),
            "broken": list(self.walked.broken),
        }


def trace(settings: Settings, ref: str, *, budget_s: float | None) -> Proof:
    """Return the proof for `ref`; tables are re-hashed for `budget_s` seconds, None for all of them.

    Raises:
        LookupError: If there is nothing of that name.
    """
    archive = Archive(settings.home)
    kind, roots, found = _resolve(settings, archive, ref)
    proof = Proof(ref=ref, kind=kind, walked=Walk())
    _verify_chains(archive, proof.walked)
    if found is not None:
        proof.prediction = _prediction(found)
    for root in roots:
        whole = found is None or root == roots[-1]  # a deployment leads to the models of other segments too
        walk(archive, root, budget_s=budget_s, ancestors=whole, into=proof.walked)
    _fill(archive, proof, roots)
    return proof


def trace_lines(proof: Proof) -> list[str]:
    """Return the proof for people."""
    lines: list[str] = []
    if made := proof.prediction:
        lines += [f"PREDICTION  {made['id']}  {made['at']}  {made['product']}[{made['segment']}]", f"            output {made['output']:.6g}"]
    if model := proof.model:
        lines += [
            f"MODEL       {model['version']}  sha256 {str(model['sha256'])[:16]}…  record {str(model['record'])[:16]}…",
            f"TRAINED     {model['trigger']['kind']}: {model['trigger']['reason']}",
            f"            code {str(model['code']['id'])[:12]}… commit {str(model['code']['commit'])[:12]}  MLflow run {model['mlflow_run_id']}",
        ]
    for title, rows in (("DATA", proof.data), ("LABELS", proof.labels)):
        lines += [f"{title:11} {r['asset']}[{r['partition']}]  {r['rows']:>7,} rows  root {str(r['root'])[:16]}…" for r in rows]
    lines += [f"APPROVED    {act['at'][:19]} by {act['by']}: {act['reason']}" for act in proof.approvals]
    passed = sum(bool(check["passed"]) for check in proof.checks)
    lines.append(f"CHECKS      {passed}/{len(proof.checks)} passed")
    lines += [f"            failed: {c['asset']}[{c['partition']}] {c['name']}" for c in proof.checks if not c["passed"]]
    verdict = {0: "proven: every hash was computed anew and is right", 2: "partly: not re-hashed for lack of time (--verify does)", 3: "BROKEN"}
    lines.append(f"VERIFY      {verdict[proof.exit_code]}; {len(proof.walked.records)} records")
    lines += [f"            {problem}" for problem in (*proof.walked.broken, *proof.walked.unverified)]
    return lines


def _resolve(settings: Settings, archive: Archive, ref: str) -> tuple[str, list[str], Found | None]:
    """Return what `ref` is, the records to start from, and the prediction if it is one."""
    if re.fullmatch(r"[0-9a-f]{64}", ref):
        archive.held(ref)
        return "record", [ref], None
    if model := re.fullmatch(r"([a-z][a-z0-9_]*)@(\d+)", ref):
        act = archive.ledger.version(model[1], int(model[2]))
        if act is None or act.record is None:
            raise LookupError(f"no version {ref!r} in the ledger")
        return "model", [act.record], None
    if asset := re.fullmatch(r"([a-z][a-z0-9_]*)/([a-z]+)(?:\[(.+)\])?", ref):
        head = archive.head(Place(product=asset[1], stage=asset[2], partition=asset[3] or "all"))
        if head is None:
            raise LookupError(f"no record of {ref!r}; made are: {', '.join(list(archive.heads(asset[1], asset[2]))[:5]) or 'none'}")
        return "asset", [head.id], None
    try:
        found = lookup(settings, archive, ref)
    except ValueError as error:
        raise LookupError(f"{ref!r} is no reference; right is {FORMS}") from error
    if found is None:
        raise LookupError(f"no prediction {ref!r}, neither sealed nor in a log")
    registered = archive.ledger.version(found.product.name, int(str(found.row["version"])))
    sealed = [found.sealed.id] if found.sealed else []
    model = [registered.record] if registered and registered.record else []
    return "prediction", [*sealed, str(found.row["deployment"]), *model], found


def _verify_chains(archive: Archive, walked: Walk) -> None:
    """Compute every hash of ledger and journal anew."""
    for chain in (archive.ledger.chain, archive.journal):
        try:
            chain.reread()
        except BrokenEvidence as problem:
            walked.broken.append(str(problem))


def _prediction(found: Found) -> Body:
    row = found.row
    inputs: Body = {name.removeprefix("input."): value for name, value in row.items() if name.startswith("input.")}  # type: ignore[misc]
    return {
        "id": str(row["inference_id"]),
        "at": str(row["at"]),
        "product": found.product.name,
        "segment": str(row["segment"]),
        "key": row["key"],  # type: ignore[dict-item]
        "input": inputs,
        "output": row["output"],  # type: ignore[dict-item]
        "variant": "champion",
        "model_version": int(str(row["version"])),
        "deployment": str(row["deployment"]),
        "sealed": found.sealed is not None,
    }


def _fill(archive: Archive, proof: Proof, roots: list[str]) -> None:
    """Tell what the walked records are: the model first met, data, labels, checks, and the acts on the model."""
    held = list(proof.walked.records.values())
    model = next((each for each in held if each.record.place.stage == Stage.MODEL), None)
    if model is not None and proof.kind in ("prediction", "model") or (model and model.id in roots):
        proof.model, proof.approvals = _model(archive, model)
    for each in held:
        stage = each.record.place.stage
        if stage in DATA and each.record.place.partition != "all":
            proof.data.append(_snapshot(archive, each))
        elif stage == Stage.ANNOTATIONS:
            proof.labels.append(_snapshot(archive, each))
        proof.checks += [_check(each, check.name, check.passed) for check in each.record.checks]


def _model(archive: Archive, model: Held) -> tuple[Body, list[Body]]:
    product = model.record.place.product
    acts = [act for act in archive.ledger.acts(product) if act.record == model.id]
    registered = next((act for act in acts if act.kind == "register"), None)
    facts = registered.facts if registered else {}
    metrics: Body = {name: value for name, value in model.record.facts.items() if isinstance(value, float)}
    body: Body = {
        "version": f"{product}@{registered.version}" if registered else None,
        "record": model.id,
        "sha256": model.record.output("model").root,
        "mlflow_run_id": facts.get("mlflow_run_id"),
        "trigger": {"kind": "decision" if facts.get("decision") else "person", "reason": registered.reason if registered else None},
        "code": {"id": model.record.code.id, "commit": model.record.code.commit, "dirty": model.record.code.dirty},
        "params": model.record.params,
        "metrics": metrics,
    }
    return body, [_act(act) for act in acts if act.kind in ("promote", "rollback")]


def _act(act: Act) -> Body:
    return {"act": act.kind, "by": act.by, "at": act.at, "reason": act.reason}


def _snapshot(archive: Archive, held: Held) -> Body:
    output, place = held.record.outputs[0], held.record.place
    file = held.file(output.name)
    return {
        "asset": f"{place.product}/{place.stage}",
        "partition": place.partition,
        "record": held.id,
        "root": output.root,
        "uri": str(archive.home / file.address),
        "sha256": file.sha256,
        "rows": output.rows,
    }


def _check(held: Held, name: str, passed: bool) -> Body:
    place = held.record.place
    return {"name": name, "asset": f"{place.product}/{place.stage}", "partition": place.partition, "passed": passed}

