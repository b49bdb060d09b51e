"""Champions -> what the endpoint should serve; a closed window of its log -> sealed predictions and their outcomes."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import msgspec
import polars as pl

from mlops_assets.evidence.archive import Built, Held
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.content import content_root
from mlops_assets.evidence.ledger import Act, stamp
from mlops_assets.evidence.records import Check, Json, Recipe, canonical, digest
from mlops_assets.evidence.step import NotReady, Prepared, Step, parse
from mlops_assets.product import Stage
from mlops_assets.serving.log.outcomes import outcomes
from mlops_assets.serving.log.parity import parity
from mlops_assets.serving.log.seal import drop_sealed, is_closed, log_digests, mark_sealed, seal
from mlops_assets.serving.routing.deploy import Deployment, Route, read_deployment, write_deployment
from mlops_assets.windows import ALL

Routes = dict[str, Route]


@dataclass(frozen=True, kw_only=True)
class EndpointStep(Step):
    """The desired deployment: the champion of every segment, as the ledger has it."""

    @property
    def stage(self) -> Stage:
        """`endpoint`."""
        return Stage.ENDPOINT

    def prepare(self, partition: str) -> Prepared:
        """Return the recipe: every segment's champion, and the deployment before unless it is the same."""
        champions = {
            segment: self.archive.ledger.champion(self.product.name, segment) for segment in self.product.segments
        }
        held = {
            segment: (act.version, self.archive.held(act.record))
            for segment, act in champions.items()
            if act is not None and act.version is not None and act.record is not None
        }
        if not held and not self.archive.ledger.acts(self.product.name, "wait"):  # else: deploy nothing, fail nothing
            refused = self.archive.ledger.acts(self.product.name, "refuse")
            why = f": {refused[-1].reason}" if refused else f"; materialize {self.product.name}/champion"
            raise NotReady(f"{self.product.name} has no champion yet{why}")
        routes = {segment: _route(version, model) for segment, (version, model) in held.items()}
        recipe = Recipe(
            place=self.place(partition),
            inputs=[(str(model.record.place), model.record.root) for _, model in held.values()],
            params={"fallback": self.product.fallback},
            state={"routes": digest(canonical(routes)), "predecessor": self._predecessor(routes)},
            code="",
        )
        inputs = [model.as_input() for _, model in held.values()]
        return Prepared(recipe=recipe, inputs=inputs, build=partial(self._build, routes))

    def make(self, partition: str, *, run_id: str | None = None) -> Held:
        """Return the deployment's record, and ask the workers to serve it."""
        held = Step.make(self, partition, run_id=run_id)
        folder = self.settings.serving(self.product.name)
        current = read_deployment(folder)
        if current is None or current.id != held.id:
            now = stamp(datetime.now(UTC))
            routes = msgspec.json.decode(self.archive.data(held, "routes"), type=Routes)
            versions: dict[str, Json] = {segment: route.version for segment, route in routes.items()}
            reason = ", ".join(f"{segment}@{version}" for segment, version in versions.items()) or "no champion yet"
            self.archive.ledger.add(
                Act(
                    kind="deploy",
                    product=self.product.name,
                    record=held.id,
                    by="endpoint",
                    reason=reason,
                    at=now,
                    facts=versions,
                )
            )
            write_deployment(
                folder,
                Deployment(
                    id=held.id, product=self.product.name, at=now, routes=routes, fallback=self.product.fallback
                ),
            )
        return held

    def _predecessor(self, routes: Routes) -> str:
        """Return the record before this deployment; the one there is, if it routes alike, keeps its own."""
        head = self.archive.head(self.place(ALL))
        if head is None:
            return ""
        return head.record.state["predecessor"] if head.record.state["routes"] == digest(canonical(routes)) else head.id

    def _build(self, routes: Routes) -> Built:
        facts: dict[str, Json] = {segment: route.version for segment, route in routes.items()}
        return Built(outputs={"routes": (msgspec.json.encode(routes), "json")}, facts={"versions": facts})


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
        if not is_closed(folder, self.product.grid, window, datetime.now(UTC), grace_s):
            raise NotReady(f"{self.place(partition)}: the window is still open, or no endpoint ever served it")
        reported = outcomes(folder, window)
        files: Json = list(log_digests(folder, window, segment))
        recipe = Recipe(
            place=self.place(partition),
            state={"log": digest(canonical(files)), "outcomes": content_root(reported)},
            code=code_id("mlops_assets.serving.log.seal"),
        )
        return Prepared(recipe=recipe, inputs=[], build=partial(self._build, partition, reported))

    def make(self, partition: str, *, run_id: str | None = None) -> Held:
        """Return the window's record; the log's files are deleted once every segment served has one that holds them."""
        held = Step.make(self, partition, run_id=run_id)
        segment, window = parse(partition)
        folder = self.settings.serving(self.product.name)
        mark_sealed(folder, window, segment, msgspec.convert(held.record.facts["log_files"], list[str]))
        served = {act.segment for act in self.archive.ledger.acts(self.product.name, "promote") if act.segment}
        drop_sealed(folder, window, served)
        return held

    def _build(self, partition: str, reported: pl.DataFrame) -> Built:
        segment, window = parse(partition)
        before = self.archive.head(self.place(partition))
        previous = self.archive.table(before, "predictions") if before else None
        sealed = seal(self.settings.serving(self.product.name), window, segment, previous)
        mine = reported.join(sealed.table, on="inference_id", how="semi")
        known = int(str(before.record.facts["missing"])) if before else 0
        missing = sum(writer.missing for writer in sealed.writers) if sealed.writers else known
        complete = Check(
            name="is_complete",
            passed=missing == 0,
            severity="warn",
            blocking=False,
            facts={"missing": missing, "writers": msgspec.to_builtins(sealed.writers)},
        )
        return Built(
            outputs={"predictions": sealed.table, "outcomes": mine},
            checks=(complete, parity(sealed.table, self.product.features)),
            facts={
                "rows": sealed.table.height,
                "outcomes": mine.height,
                "missing": missing,
                "log_files": list(sealed.digests),
                "predecessor": before.id if before else None,
            },
        )


def _route(version: int, model: Held) -> Route:
    return Route(version=version, record=model.id, model=model.file("model"), spec=model.file("spec"))
