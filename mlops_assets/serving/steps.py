"""Champions -> what the endpoint should serve; a closed window of its log -> sealed predictions and their outcomes."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import msgspec
import polars as pl

from mlops_assets.evidence.archive import Built, Held
from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.content import content_root
from mlops_assets.evidence.ledger import Act, stamp
from mlops_assets.evidence.records import Check, Json, Recipe, canonical, digest
from mlops_assets.evidence.step import NotReady, Prepared, Step, parse
from mlops_assets.product import Stage
from mlops_assets.serving.log.outcomes import outcomes
from mlops_assets.serving.log.parity import parity
from mlops_assets.serving.log.seal import (
    WriterFacts,
    drop_sealed,
    is_closed,
    log_digests,
    mark_sealed,
    seal,
    with_gone,
)
from mlops_assets.serving.log.writer import SHADOW
from mlops_assets.serving.routing.deploy import Deployment, read_deployment, write_deployment
from mlops_assets.serving.routing.failed import failure, unfailed
from mlops_assets.serving.routing.routed import Routed, read_routed, routed, told, warm
from mlops_assets.serving.scoring.sealing import (
    Batch,
    batch_of,
    drop_files,
    may_be_sealed,
    with_scored,
    without_scores,
)
from mlops_assets.training.model import decode_spec
from mlops_assets.windows import ALL


@dataclass(frozen=True, kw_only=True)
class EndpointStep(Step):
    """The desired deployment: the champion of every segment, as the ledger has it."""

    @property
    def stage(self) -> Stage:
        """`endpoint`."""
        return Stage.ENDPOINT

    def prepare(self, partition: str) -> Prepared:
        """Return the recipe: every segment's champion, and the deployment before unless it is the same."""
        found = routed(self.archive, self.product)
        ledger, name = self.archive.ledger, self.product.name
        if not found.routes and not ledger.acts(name, "wait"):  # else: deploy nothing, fail nothing
            refused = ledger.acts(name, "refuse")
            why = f": {refused[-1].reason}" if refused else f"; materialize {name}/champion"
            raise NotReady(f"{name} has no champion yet{why}")
        recipe = Recipe(
            place=self.place(partition),
            inputs=[(str(model.record.place), model.record.root) for model in found.models],
            params={"fallback": self.product.fallback},
            state={"routes": found.id, "predecessor": self._predecessor(found)},
            code="",
        )
        inputs = [model.as_input() for model in found.models]
        return Prepared(recipe=recipe, inputs=inputs, build=partial(self._build, found))

    def make(self, partition: str, *, run_id: str | None = None) -> Held:
        """Return the deployment's record, and ask the workers to serve it. Only a run asks again for one that failed.

        Raises:
            NotReady: If there is no champion, or this deployment has failed and no run asks for it.
        """
        prepared = self.prepare(partition)
        if run_id is None:  # sensors come every two seconds
            self._not_failed(prepared.recipe)
        held = self.archive.make(prepared.recipe, prepared.inputs, prepared.build, run_id=run_id)
        current = read_deployment(self.settings.serving(self.product.name))
        said = next(reversed(self._acts()), None)
        if current is None or current.id != held.id or said is None or (said.kind, said.record) != ("deploy", held.id):
            now = stamp(datetime.now(UTC))
            deployment = self._deployment(held, now)
            versions: dict[str, Json] = {segment: route.version for segment, route in deployment.routes.items()}
            self.archive.ledger.add(
                Act(
                    kind="deploy",
                    product=self.product.name,
                    record=held.id,
                    by="endpoint",
                    reason=told(deployment.routes, deployment.beside),
                    at=now,
                    facts=versions,
                )
            )
            write_deployment(self.settings.serving(self.product.name), deployment)
        return held

    def take_back(self, failed: Held, why: str) -> str | None:
        """Write down that a deployment failed, ask for the one before it again, and return that one's id.

        None if there is none that did not fail: what is asked for stays, for a worker that can serve it.
        """
        good = unfailed(self._acts(), besides=failed.id)
        now = stamp(datetime.now(UTC))
        facts: dict[str, Json] = {"put_back": good}
        self.archive.ledger.add(
            Act(
                kind="fail", product=self.product.name, record=failed.id, by="endpoint", reason=why, at=now, facts=facts
            )
        )
        if good is None:
            return None
        write_deployment(self.settings.serving(self.product.name), self._deployment(self.archive.held(good), now))
        self.archive.point_back(self.place(ALL), good)
        return good

    def _deployment(self, held: Held, at: str) -> Deployment:
        """Return what a record asks the workers for."""
        routes, beside = read_routed(self.archive, held)
        return Deployment(
            id=held.id,
            product=self.product.name,
            at=at,
            routes=routes,
            fallback=self.product.fallback,
            beside=beside,
            warm=warm(self.archive, self.product),
        )

    def _not_failed(self, recipe: Recipe) -> None:
        made = self.archive.made(recipe)
        act = failure(self._acts(), made.id) if made else None
        if act is not None:
            asset = self.product.key(Stage.ENDPOINT)
            again = f"materialize {'/'.join(asset)} to try it again, or roll back"
            raise NotReady(f"the deployment {act.record or ''} failed at {act.at[:19]}: {act.reason}; {again}")

    def _acts(self) -> list[Act]:
        return self.archive.ledger.acts(self.product.name, "deploy", "fail")

    def _predecessor(self, found: Routed) -> str:
        """Return the last deployment that did not fail; the one there is, if it routes alike, keeps its own."""
        good = unfailed(self._acts())
        if good is None:
            return ""
        state = self.archive.held(good).record.state
        return state["predecessor"] if state["routes"] == found.id else good

    def _build(self, found: Routed) -> Built:
        return Built(outputs=found.outputs, facts={"versions": found.versions})


@dataclass(frozen=True, kw_only=True)
class PredictionsStep(Step):
    """A closed window of the inference log, for one segment."""

    @property
    def stage(self) -> Stage:
        """`predictions`."""
        return Stage.PREDICTIONS

    def prepare(self, partition: str) -> Prepared:
        """Return the recipe: the log's files, those sealed before included, and the outcomes that have come in."""
        segment, window = parse(partition)
        folder = self.settings.serving(self.product.name)
        grace_s = self.product.monitor.grace.total_seconds()
        batch, now = batch_of(self.archive, self.product, folder, partition), datetime.now(UTC)
        closed = is_closed(folder, self.product.grid, window, now, grace_s)
        if not closed and not may_be_sealed(batch, self.product, folder, window, product_now(folder, now)):
            why = "the window is still open, or no endpoint ever served it and nothing was scored in it"
            raise NotReady(f"{self.place(partition)}: {why}")
        reported = outcomes(folder, window)
        files: Json = list(log_digests(folder, window, segment))
        recipe = Recipe(
            place=self.place(partition),
            inputs=[(str(each.place), each.root) for each in batch.inputs],
            state={"log": digest(canonical(files)), "outcomes": content_root(reported), **batch.state},
            code=code_id("mlops_assets.serving.log.seal"),
        )
        return Prepared(recipe=recipe, inputs=batch.inputs, build=partial(self._build, partition, reported, batch))

    def make(self, partition: str, *, run_id: str | None = None) -> Held:
        """Return the window's record; the log's files are deleted once every segment served has one that holds them."""
        held = Step.make(self, partition, run_id=run_id)
        segment, window = parse(partition)
        folder = self.settings.serving(self.product.name)
        mark_sealed(folder, window, segment, msgspec.convert(held.record.facts["log_files"], list[str]))
        served = {act.segment for act in self.archive.ledger.acts(self.product.name, "promote") if act.segment}
        drop_sealed(folder, window, served, sync=self.product.endpoint.log.sync)
        drop_files(folder, partition, held)
        return held

    def _build(self, partition: str, reported: pl.DataFrame, batch: Batch) -> Built:
        segment, window = parse(partition)
        folder = self.settings.serving(self.product.name)
        before = self.archive.head(self.place(partition))
        previous = without_scores(self.archive.table(before, "predictions")) if before else None
        shadowed = before is not None and any(output.name == SHADOW for output in before.record.outputs)
        shadow_before = self.archive.table(before, SHADOW) if before and shadowed else None
        sealed = seal(folder, window, segment, previous, shadow_before)
        rows = with_scored(sealed.table, self.archive, folder, partition, batch)
        mine = reported.join(rows, on="inference_id", how="semi")
        writers, missing = with_gone(sealed.writers, *_known(before))
        complete = Check(
            name="is_complete",
            passed=missing == 0,
            severity="warn",
            blocking=False,
            facts={"missing": missing, "writers": msgspec.to_builtins(writers)},
        )
        return Built(
            outputs={
                "predictions": rows,
                "outcomes": mine,
                **({SHADOW: sealed.shadow} if sealed.shadow.height else {}),
            },
            checks=(complete, self._parity(rows)),
            facts={
                "rows": rows.height,
                **batch.facts,
                "shadow": sealed.shadow.height,
                "outcomes": mine.height,
                "missing": missing,
                "log_files": list(sealed.digests),
                "predecessor": before.id if before else None,
                **({"personal": personal} if (personal := dict(self.product.endpoint.personal)) else {}),
            },
        )

    def _parity(self, rows: pl.DataFrame) -> Check:
        acts = [self.archive.ledger.version(self.product.name, version) for version in rows["version"].unique()]
        models = {act.version: self.archive.held(act.record) for act in acts if act and act.record and act.version}
        specs = {version: decode_spec(self.archive.data(model, "spec")) for version, model in models.items()}
        hidden = set(self.product.endpoint.personal) - {self.product.source.key}
        return parity(rows, self.product.features, specs=specs, hidden=hidden)


def _known(before: Held | None) -> tuple[list[WriterFacts], int]:
    """Return what a window's record says of the writers, and how many requests it misses."""
    if before is None:
        return [], 0
    [told] = [check.facts["writers"] for check in before.record.checks if check.name == "is_complete"]
    return msgspec.convert(told, list[WriterFacts]), msgspec.convert(before.record.facts["missing"], int)
