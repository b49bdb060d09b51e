"""Evidence of a finished demonstration -> which steps of the loop happened, read back from records and ledger."""

from collections.abc import Sequence

import msgspec

from mlops_assets.defs.loans.applications import Change
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import Place
from mlops_assets.lineage.proof import trace_lines
from mlops_assets.lineage.trace import trace
from mlops_assets.operations.story import Story
from mlops_assets.operations.traffic import Answer, Client
from mlops_assets.operations.watch import Watched
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.retraining.stored import stored_decisions
from mlops_assets.settings import Settings


def summarize(
    settings: Settings,
    product: ModelProduct,
    client: Client,
    seen: Sequence[Watched],
    story: Story,
    *,
    concept: Change,
    data: Change,
) -> None:
    """Note each step of the loop in `story`: did it happen, and how do we know."""
    failed = [problem for day in seen for problem in day.failed]
    story.step(
        "every run succeeded", not failed, failed[0] if failed else f"{len(seen)} days sealed, profiled and judged"
    )
    _quiet(product, seen, story, until=min(product.grid.key(concept.at), product.grid.key(data.at)))
    _found(product, seen, story, concept=concept, data=data)
    _decided(settings, product, story, concept)
    after = _swapped(client, seen, story, concept)
    _quality(settings, product, story, concept)
    _proofs(settings, client, story, concept, after)


def _quiet(product: ModelProduct, seen: Sequence[Watched], story: Story, *, until: str) -> None:
    before = [held for day in seen if day.window < until for held in day.drift.values()]
    alarms = [held for held in before if held.record.facts["state"] == "drift"]
    shifts = [msgspec.convert(held.record.facts["smallest_shift"], dict[str, float]) for held in before]
    smallest = [min(each.values()) for each in shifts if each]
    detail = f"{len(before) - len(alarms)} of {len(before)} windows before any change are ok"
    detail += f"; the smallest shift they would have seen: {min(smallest):.2f} sd" if smallest else ""
    story.step("no drift while there is none", len(alarms) <= len(before) // 14 and bool(smallest), detail)


def _found(product: ModelProduct, seen: Sequence[Watched], story: Story, *, concept: Change, data: Change) -> None:
    region = data.region or ""
    first = next(
        (
            d
            for d in seen
            if region in d.drift
            and d.drift[region].record.facts["state"] == "drift"
            and d.window >= product.grid.key(data.at)
        ),
        None,
    )
    words = str(first.drift[region].record.facts["words"]) if first else "not found"
    at_once = first is not None and first.window == product.grid.key(data.at)
    story.step("data drift found at once", at_once, f"{region}, {first.window if first else ''}: {words}")
    spoken = next(
        ((day.window, day.concept[concept.region or ""]) for day in seen if (concept.region or "") in day.concept), None
    )
    right = spoken is not None and product.grid.key(concept.at) in spoken[1]
    detail = f"{concept.region}, on {spoken[0]}, {spoken[1]}" if spoken else "not found"
    story.step("concept drift found when labels matured", right, detail)


def _decided(settings: Settings, product: ModelProduct, story: Story, concept: Change) -> None:
    decisions = stored_decisions(settings.home, product.name)
    noes = [d for d in decisions if not d.retrain and d.segment == concept.region and "labels" in "; ".join(d.reasons)]
    yes = [d for d in decisions if d.retrain and d.segment == concept.region]
    story.step(
        "decisions stored, also the noes",
        bool(noes) and bool(yes),
        f"{len(decisions)} stored; one no: {noes[0].reasons[0] if noes else 'none'}",
    )
    ledger = Archive(settings.home).ledger
    for segment in product.segments:
        kinds = [act for act in ledger.acts(product.name, "promote", "refuse") if act.segment == segment][1:]
        asked = [d for d in decisions if d.retrain and d.segment == segment]
        last = next((d.reasons[0] for d in reversed(decisions) if d.segment == segment and d.considered), "no alarm")
        said = (
            f"{kinds[-1].kind}d {product.name}@{kinds[-1].version}: {kinds[-1].reason}"
            if kinds
            else f"not retrained: {last}"
        )
        if segment == concept.region:
            story.step(f"retrained and gated: {segment}", any(act.kind == "promote" for act in kinds), said)
        else:
            story.step(f"retrained only if that mends something: {segment}", len(kinds) <= len(asked), said)


def _swapped(client: Client, seen: Sequence[Watched], story: Story, concept: Change) -> Answer | None:
    mine = [answer for answer in client.answers if answer.segment == concept.region]
    versions = sorted({answer.version for answer in mine})
    story.step(
        "no request failed",
        not client.failures,
        f"{len(client.answers):,} answers, {len(client.failures)} failures"
        + (f": {client.failures[0]}" if client.failures else ""),
    )
    first = next((answer for answer in mine if answer.version != mine[0].version), None)
    if first is None:
        story.step("swapped under load", False, "no answer came from another version")
        return None
    day = [answer for answer in mine if answer.at.date() == first.at.date()]
    before = sum(answer.version == versions[0] for answer in day)
    story.step(
        "swapped under load",
        before > 0,
        f"on {first.at:%Y-%m-%d}: {before} answers of version {versions[0]}, "
        f"then {len(day) - before} of version {versions[-1]}",
    )
    trained = next((day for day in seen if any(p.startswith(f"{concept.region}|") for p in day.retrained)), None)
    took = first.came - trained.began if trained else float("nan")
    story.step(
        "from closed window to new version", took > 0, f"{took:.1f} s (seal, judge, decide, train, gate, deploy)"
    )
    return first


def _quality(settings: Settings, product: ModelProduct, story: Story, concept: Change) -> None:
    archive = Archive(settings.home)
    metric = product.gate.metric
    by_version: dict[int, list[tuple[str, float]]] = {}
    for partition in archive.heads(product.name, Stage.PERFORMANCE):
        segment, _, window = partition.partition("|")
        held = archive.head(Place(product=product.name, stage=Stage.PERFORMANCE, partition=partition))
        if segment == concept.region and held is not None and isinstance(value := held.record.facts.get(metric), float):
            by_version.setdefault(int(str(held.record.facts["version"])), []).append((window, value))
    changed = product.grid.key(concept.at)
    old, new = by_version.get(min(by_version), []), by_version.get(max(by_version), [])
    before = [value for window, value in old if window < changed]
    during = [value for window, value in old if window >= changed]
    after = [value for _, value in new] if len(by_version) > 1 else []
    means = [sum(values) / len(values) if values else float("nan") for values in (before, during, after)]
    story.step(
        "quality recovered",
        bool(after) and means[2] > means[1],
        f"{metric} in the {concept.region}: {means[0]:.3f} before, {means[1]:.3f} after the world changed, "
        f"{means[2]:.3f} with the new version",
    )


def _proofs(settings: Settings, client: Client, story: Story, concept: Change, after: Answer | None) -> None:
    first = next((answer for answer in client.answers if answer.segment == concept.region), None)
    for name, answer in (("before", first), ("after", after)):
        if answer is None:
            story.step(f"prediction from {name} traced", False, "there is none")
            continue
        proof = trace(settings, answer.id, budget_s=None)
        print("\n" + "\n".join(trace_lines(proof)))
        story.step(
            f"prediction from {name} traced", proof.exit_code == 0, f"{answer.id}, {len(proof.walked.records)} records"
        )
