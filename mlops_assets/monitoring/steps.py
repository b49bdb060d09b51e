"""Sealed predictions -> the window's profile, and the verdict on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import polars as pl

from mlops_assets.detection.drift import judge
from mlops_assets.detection.finding import Origin, summaries
from mlops_assets.detection.sequence import Evidence
from mlops_assets.detection.verdict import Verdict
from mlops_assets.evidence.archive import Built, Held
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.records import Check, Json, Recipe, Struct
from mlops_assets.evidence.step import NotReady, Prepared, Step, parse
from mlops_assets.monitoring.beside import champions, predictions_of, speaking
from mlops_assets.monitoring.origin import origin_of
from mlops_assets.monitoring.profile import observed, profile
from mlops_assets.monitoring.same_test import narrowed
from mlops_assets.product import Stage
from mlops_assets.training.bins import Counts
from mlops_assets.training.reference import FEWEST, Reference

EVIDENCE = "evidence"
NOT_JUDGED = "not_judged"  # personal columns
LOOK_BACK = 7  # windows; a pause longer than that begins anew


@dataclass(frozen=True, kw_only=True)
class Watch(Step):
    """A step that judges a window by the model that answered in it."""

    def judged(self, predictions: Held, rows: pl.DataFrame) -> tuple[int, Held]:
        """Return version and record of the model that the window is judged by.

        That is the newest champion with enough rows, else the one with most; a window without rows of one, be it that
        a canary answered all, goes to the champion of today.
        """
        counts = champions(rows).group_by("version").len().sort("version", descending=True)
        enough = counts.filter(pl.col("len") >= FEWEST)
        chosen = enough if enough.height else counts.sort("len", descending=True)
        ledger, segment = self.archive.ledger, parse(predictions.record.place.partition)[0]
        act = (
            ledger.version(self.product.name, int(chosen["version"][0]))
            if chosen.height
            else ledger.champion(self.product.name, segment)
        )
        if act is None or act.record is None or act.version is None:
            raise NotReady(f"{predictions.record.place}: no model of this segment was ever served")
        return act.version, self.archive.held(act.record)

    def before(self, partition: str, root: str, model: Held) -> Held | None:
        """Return the record of the newest earlier window that the same model was judged in, whose evidence goes on.

        Among the last seven windows; a window judged anew on the same content `root` keeps the one that it had.
        """
        head = self.archive.head(self.place(partition))
        if head and head.record.state.get("model") == model.id and head.record.inputs[0].root == root:
            known = head.record.state.get("before")
            return self.archive.held(known) if known else None
        segment, window = parse(partition)
        for earlier in reversed(self.product.grid.before(window, LOOK_BACK + 1)[:-1]):
            found = self.archive.head(self.place(f"{segment}|{earlier}"))
            gathered = found and any(output.name == EVIDENCE for output in found.record.outputs)
            if found and gathered and found.record.state.get("model") == model.id:
                return found
        return None

    def reference(self, model: Held, without: Sequence[str] = ()) -> Reference:
        """Return what the model's training saw, but for the columns that the log does not hold."""
        known = msgspec.json.decode(self.archive.data(model, "reference"), type=Reference)
        return narrowed(known, [name for name in known.bins.columns if name not in without]) if without else known


@dataclass(frozen=True, kw_only=True)
class ProfileStep(Watch):
    """Exact counts and a whylogs profile of the rows that speak for the judged model."""

    @property
    def stage(self) -> Stage:
        """`profile`."""
        return Stage.PROFILE

    def prepare(self, partition: str) -> Prepared:
        """Return the recipe: the sealed rows, and the model whose bins they are counted over."""
        predictions = self.input(Stage.PREDICTIONS, partition)
        rows = predictions_of(self.archive, predictions)
        version, model = self.judged(predictions, rows)
        recipe = Recipe(
            place=self.place(partition),
            inputs=[(str(predictions.record.place), predictions.record.root)],
            state={"model": model.id},
            params={"personal": [*personal]} if (personal := self.product.endpoint.personal) else {},
            code=code_id("mlops_assets.monitoring.profile", "mlops_assets.monitoring.beside"),
        )
        build = partial(self._build, partition, rows, version, model)
        return Prepared(recipe=recipe, inputs=[predictions.as_input(), model.as_input()], build=build)

    def _build(self, partition: str, rows: pl.DataFrame, version: int, model: Held) -> Built:
        start, _ = self.product.grid.bounds(parse(partition)[1])
        seen = speaking(self.archive, model, version, rows, personal=self.product.endpoint.personal)
        hidden = sorted(self.product.endpoint.personal)
        made = profile(observed(seen), self.reference(model, hidden).bins, at=start)
        others = rows.height - seen.height
        counted: dict[str, Json] = {
            "profiled": made.counts.rows,
            "scored_again": seen.filter(pl.col("version") != version).height,
            "of_other_versions": others,
            "logged": rows.height,
        }
        check = Check(name="rows_are_the_logs", passed=made.counts.rows + others == rows.height, facts=counted)
        return Built(
            outputs={"counts": (msgspec.json.encode(made.counts), "json"), "whylogs": (made.whylogs, "bin")},
            checks=(check,),
            facts={"version": version, **counted, **({NOT_JUDGED: list[Json](hidden)} if hidden else {})},
        )


@dataclass(frozen=True, kw_only=True)
class DriftStep(Watch):
    """The verdict on a window's inputs and predictions."""

    @property
    def stage(self) -> Stage:
        """`drift`."""
        return Stage.DRIFT

    def prepare(self, partition: str) -> Prepared:
        """Return the recipe: the window's counts, and the model whose reference they are compared with."""
        counted = self.input(Stage.PROFILE, partition)
        model = self.archive.held(counted.record.state["model"])
        inputs = [(str(counted.record.place), counted.record.root)]
        before = self.before(partition, counted.record.root, model)
        recipe = Recipe(
            place=self.place(partition),
            inputs=inputs,
            state={**counted.record.state, "before": before.id if before else ""},
            code=code_id("mlops_assets.detection.drift", "mlops_assets.detection.origin"),
        )
        build = partial(self._build, partition, counted, model, before)
        return Prepared(recipe=recipe, inputs=[counted.as_input(), model.as_input()], build=build)

    def _build(self, partition: str, counted: Held, model: Held, before: Held | None) -> Built:
        live = msgspec.json.decode(self.archive.data(counted, "counts"), type=Counts)
        carried = msgspec.json.decode(self.archive.data(before, EVIDENCE), type=Evidence) if before else None
        phase = self.product.grid.phase(parse(partition)[1])
        hidden = msgspec.convert(counted.record.facts.get(NOT_JUDGED, []), list[str])
        found = judge(live, self.reference(model, hidden), phase=phase, carried=carried)
        verdict = found.verdict
        if hidden:
            said = f"{verdict.words}; not judged, since the log does not hold them: {', '.join(hidden)}"
            verdict = msgspec.structs.replace(verdict, words=said)
        origin = origin_of(self.product, self.archive, counted, verdict)
        version = counted.record.facts["version"]
        return verdict_built(verdict, "no_drift", {"version": version}, evidence=found.evidence, origin=origin)


def verdict_built(
    verdict: Verdict,
    check: str,
    facts: dict[str, Json],
    more: tuple[Check, ...] = (),
    *,
    evidence: Struct | None = None,
    origin: Origin | None = None,
) -> Built:
    """Return a verdict as what a step made: the verdict itself, its check, and what an operator reads.

    `evidence` goes on to the next window; `origin` says where a drift entered, as far as was known when the step ran.
    """
    told: dict[str, Json] = {
        **facts,
        "state": verdict.state,
        "kind": verdict.kind,
        "words": verdict.words,
        "p_value": verdict.p_value,
        "rows": verdict.rows,
        "reference_windows": verdict.windows,
        "promised_false_alarms": verdict.promised,
        "columns": {shift.column: shift.words for shift in verdict.columns},
        "smallest_shift": dict(verdict.smallest_shift),
    }
    shown: dict[str, Json] = {"state": verdict.state, "words": verdict.words}
    outputs = {"verdict": (msgspec.json.encode(verdict), "json")}
    if evidence is not None:
        outputs[EVIDENCE] = (msgspec.json.encode(evidence), "json")
    if origin is not None:
        outputs["origin"] = (msgspec.json.encode(origin), "json")
        told |= {"origin": origin.words, "ancestors": summaries(origin)}
        shown["origin"] = origin.words
    claim = Check(name=check, passed=verdict.state != "drift", severity="warn", blocking=False, facts=shown)
    return Built(outputs=outputs, checks=(claim, *more), facts=told)
