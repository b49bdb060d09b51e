"""What a trace tells: the structs behind `trace --json`, and the same for people."""

from dataclasses import dataclass, field

import msgspec

from mlops_assets.evidence.records import Json, Struct
from mlops_assets.lineage.walk import Walk

TITLES = {
    "promote": "APPROVED",
    "rollback": "APPROVED",
    "traffic": "TRIED",
    "withdraw": "TAKEN BACK",
    "verdict": "COMPARED",
    "approve": "AGREED",
    "reject": "REJECTED",
    "waive": "WAIVED",
    "adopt": "ADOPTED",
}


class PredictionFacts(Struct, frozen=True, kw_only=True):
    """A prediction as it was logged. `sealed` is false while it is only in the endpoint's log.

    `hidden` are the inputs that the log does not hold, with the hash that it has instead, or None.

    `decision` says whether it was acted on; None where the model has no `threshold` of its own.
    """

    id: str
    at: str
    product: str
    segment: str
    key: str | None
    input: dict[str, Json]
    hidden: dict[str, str | None] = msgspec.field(default_factory=dict[str, str | None])
    output: float
    threshold: float | None = None
    decision: bool | None = None
    variant: str
    model_version: int
    deployment: str
    sealed: bool


class Trigger(Struct, frozen=True, kw_only=True):
    """Why a model was trained: by a stored decision, or by a person."""

    kind: str
    reason: str | None


class ModelFacts(Struct, frozen=True, kw_only=True):
    """A model: its version, the hash of its bytes, and where it came from; `origin` is *unknown* of an adopted one."""

    version: str | None
    record: str
    sha256: str
    mlflow_run_id: str | None
    trigger: Trigger
    code: dict[str, str | bool | None]
    params: dict[str, Json]
    metrics: dict[str, float]
    origin: str | None = None


class SnapshotFacts(Struct, frozen=True, kw_only=True):
    """A table that the reference rests on."""

    asset: str
    partition: str
    record: str
    root: str
    uri: str
    sha256: str
    rows: int | None


class CheckFacts(Struct, frozen=True, kw_only=True):
    """A check of one of the records."""

    name: str
    asset: str
    partition: str
    passed: bool


class ApprovalFacts(Struct, frozen=True, kw_only=True):
    """An act on the model: of the gate, or of a person.

    `proof` says how a person's act shows whose it is: *signed* (verified now), *asserted*, or *broken*; None for the
    gate's. `role` is the one in which somebody agreed, `until` when an approval or a waiver ended, or ends.
    """

    act: str
    by: str
    at: str
    reason: str
    role: str | None = None
    criterion: str | None = None
    until: str | None = None
    proof: str | None = None
    verified: bool | None = None


@dataclass(kw_only=True)
class Proof:
    """What a reference rests on, and whether all of it is as it was written."""

    ref: str
    kind: str
    walked: Walk
    prediction: PredictionFacts | None = None
    model: ModelFacts | None = None
    data: list[SnapshotFacts] = field(default_factory=list[SnapshotFacts])
    labels: list[SnapshotFacts] = field(default_factory=list[SnapshotFacts])
    checks: list[CheckFacts] = field(default_factory=list[CheckFacts])
    approvals: list[ApprovalFacts] = field(default_factory=list[ApprovalFacts])

    @property
    def exit_code(self) -> int:
        """0 proven, 2 partly, 3 broken."""
        return 3 if self.walked.broken else 2 if self.walked.unverified else 0

    def as_json(self) -> Json:
        """Return the proof in the form that others rely on."""
        told = {
            "ref": self.ref,
            "kind": self.kind,
            "prediction": self.prediction,
            "model": self.model,
            "data": self.data,
            "labels": self.labels,
            "checks": self.checks,
            "approvals": self.approvals,
            "tombstones": [],
            "verified": self.exit_code == 0,
            "unverified": self.walked.unverified,
            "broken": self.walked.broken,
        }
        return msgspec.to_builtins(told)


def trace_lines(proof: Proof) -> list[str]:
    """Return the proof for people."""
    lines: list[str] = []
    if made := proof.prediction:
        lines.append(f"PREDICTION  {made.id}  {made.at}  {made.product}[{made.segment}]  by the {made.variant}")
        acted = "" if made.decision is None else f"  {'' if made.decision else 'not '}acted on (from {made.threshold})"
        lines.append(f"            output {made.output:.6g}{acted}  deployment {made.deployment[:16]}…")
        if made.hidden:
            shown = ", ".join(f"{name} ({'hashed' if each else 'left out'})" for name, each in made.hidden.items())
            lines.append(f"            personal, and not in the log: {shown}; so `replay` cannot compute it again")
    if model := proof.model:
        lines += _model_lines(model)
    for title, rows in (("DATA", proof.data), ("LABELS", proof.labels)):
        lines += [
            f"{title:11} {row.asset}[{row.partition}]  {row.rows or 0:>7,} rows  root {row.root[:16]}…" for row in rows
        ]
    lines += [_act_line(act) for act in proof.approvals]
    lines.append(f"CHECKS      {sum(check.passed for check in proof.checks)}/{len(proof.checks)} passed")
    lines += [
        f"            failed: {check.asset}[{check.partition}] {check.name}"
        for check in proof.checks
        if not check.passed
    ]
    return [*lines, *verdict_lines(proof)]


def _model_lines(model: ModelFacts) -> list[str]:
    first = f"MODEL       {model.version}  sha256 {model.sha256[:16]}…  record {model.record[:16]}…"
    if model.origin:
        unknown = "ORIGIN      UNKNOWN: it was not trained here; nothing shows what it learned from"
        return [unknown, f"{first}  MLflow run {model.mlflow_run_id}"]
    code = f"code {str(model.code['id'])[:12]}… commit {str(model.code['commit'])[:12]}"
    return [
        first,
        f"TRAINED     {model.trigger.kind}: {(model.trigger.reason or '')[:160]}",
        f"            {code}  MLflow run {model.mlflow_run_id}",
    ]


def _act_line(act: ApprovalFacts) -> str:
    title = "CLAIMED" if act.act in ("approve", "waive") and act.proof == "asserted" else TITLES[act.act]
    what = f" as {act.role}" if act.role else f" {act.criterion}" if act.criterion else ""
    proof = f" ({act.proof})" if act.proof and not act.by.endswith(f"({act.proof})") else ""
    until = f", until {act.until[:16]}" if act.until else ""
    return f"{title:11} {act.at[:19]} by {act.by}{proof}{what}{until}: {act.reason}"


def verdict_lines(proof: Proof) -> list[str]:
    """Return whether a proof holds, and under it what is broken or was not verified."""
    why = "a model's origin is unknown" if len(proof.walked.unverified) > proof.walked.unread else ""
    left = "what follows was not re-hashed for lack of time (--verify does)" if proof.walked.unread else ""
    said = {
        0: "proven: every hash was computed anew and is right",
        2: f"partly: {'; '.join(filter(None, (why, left)))}",
        3: "BROKEN",
    }[proof.exit_code]
    problems = [*proof.walked.broken, *proof.walked.unverified]
    return [f"VERIFY      {said}; {len(proof.walked.records)} records", *(f"            {each}" for each in problems)]
