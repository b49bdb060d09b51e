"""A proof -> what a page shows of it: the verdict in words, the proof itself, its ancestry as columns of records."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.records import BrokenEvidence, Json
from mlops_assets.evidence.step import parse
from mlops_assets.lineage.proof import Proof, verdict_lines
from mlops_assets.lineage.trace import trace
from mlops_assets.lineage.walk import Walk
from mlops_assets.product import Stage
from mlops_assets.settings import Settings
from mlops_assets.windows import ALL

BUDGET_S = 2.0
MOST = 6  # records of a column; of more the newest are drawn, and one that stands for the rest
FLOW = ("source", *Stage, "prediction")
VERDICTS = {0: "proven", 2: "partly", 3: "broken"}


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record, or `more` of them. `here` is the prediction itself; `problem` says what is broken."""

    id: str
    title: str
    detail: str
    here: bool = False
    more: int = 0
    problem: str = ""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """The records of one stage."""

    stage: str
    nodes: list[Node]


class Ancestry(msgspec.Struct, frozen=True, kw_only=True):
    """Columns in the order of the flow; each edge leads from what was read to what was made of it."""

    columns: list[Column]
    edges: list[tuple[str, str]]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page of a proof shows."""

    verdict: str
    words: str
    seconds: float
    proof: Json
    ancestry: Ancestry


def traced(settings: Settings, ref: str) -> bytes:
    """Return the proof of `ref` as the JSON that a page shows; tables are re-hashed for two seconds at most.

    Raises:
        LookupError: If there is nothing of that name.
    """
    began = time.monotonic()
    try:
        proof = trace(settings, ref, budget_s=BUDGET_S)
    except BrokenEvidence as problem:  # so broken that there is nothing to walk
        proof = Proof(ref=ref, kind="unknown", walked=Walk(broken=[str(problem)]))
    shown = Shown(
        verdict=VERDICTS[proof.exit_code],
        words=verdict_lines(proof)[0].partition("  ")[2].strip(),
        seconds=round(time.monotonic() - began, 3),
        proof=proof.as_json(),
        ancestry=ancestry(proof),
    )
    return msgspec.json.encode(shown)


def ancestry(proof: Proof) -> Ancestry:
    """Return what a reference was made from."""
    records = proof.walked.records
    stages: dict[str, list[Held]] = defaultdict(list)
    for held in records.values():
        stages[held.record.place.stage].append(held)
    standing: dict[str, str] = {}  # from a record to the node that shows it
    columns: list[Column] = []
    for stage in sorted(stages, key=_order):
        nodes = list(_nodes(stage, stages[stage], proof.walked.broken, standing))
        columns.append(Column(stage=stage, nodes=nodes))
    edges = list(_edges(records, standing))
    if (made := proof.prediction) is not None:
        node = Node(id=made.id, title=f"{made.output:.4g}", detail=made.at[:16], here=True)
        columns.append(Column(stage="prediction", nodes=[node]))
        roots = {made.deployment, *(held.id for held in stages[Stage.PREDICTIONS])} & set(records)
        edges += [(standing[root], made.id) for root in sorted(roots)]
    return Ancestry(columns=columns, edges=list(dict.fromkeys(edges)))


def _nodes(stage: str, held: Sequence[Held], broken: Sequence[str], standing: dict[str, str]) -> Iterator[Node]:
    """Yield the records of a stage, the broken ones and the newest first, and one for all others."""
    newest = sorted(held, key=lambda each: each.record.place.partition, reverse=True)
    problems = {each.id: _problem(each, broken) for each in held}
    order = sorted(newest, key=lambda each: not problems[each.id])
    drawn = order if len(order) <= MOST else order[: MOST - 1]
    for each in drawn:
        standing[each.id] = each.id
        yield Node(id=each.id, title=_title(each), detail=_detail(each), problem=problems[each.id])
    if left := order[len(drawn) :]:
        id_ = f"{stage}/more"
        standing |= {each.id: id_ for each in left}
        yield Node(id=id_, title=f"{len(left)} more", detail="older ones", more=len(left))


def _edges(records: Mapping[str, Held], standing: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for held in records.values():
        for source in held.record.inputs:
            if source.record in standing:
                yield standing[source.record], standing[held.id]


def _problem(held: Held, broken: Sequence[str]) -> str:
    """Return what is wrong with one of the record's files."""
    return next((said for said in broken if any(file.address in said for file in held.envelope.files)), "")


def _title(held: Held) -> str:
    partition = held.record.place.partition
    segment, window = parse(partition)
    return held.record.place.stage if partition == ALL else f"{segment} {window}" if window else partition


def _detail(held: Held) -> str:
    rows = held.record.outputs[0].rows
    return f"{rows:,} rows" if rows is not None else held.envelope.at[:16].replace("T", " ")


def _order(stage: str) -> int:
    return FLOW.index(stage) if stage in FLOW else len(FLOW)
