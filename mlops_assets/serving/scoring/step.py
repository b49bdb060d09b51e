"""A window of the declared table -> its scores, by whoever is champion when its rows come."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import polars as pl

from mlops_assets.evidence.archive import Built, Held
from mlops_assets.evidence.clock import product_now
from mlops_assets.evidence.code import code_id
from mlops_assets.evidence.records import Check, Json, Recipe
from mlops_assets.evidence.step import NotReady, Prepared, Step, parse
from mlops_assets.intake.sources import SourceError, source_files
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.scoring.answering import Scorer
from mlops_assets.serving.scoring.champions import Answering, answerer, champions
from mlops_assets.serving.scoring.known import keep_scored
from mlops_assets.serving.scoring.reading import header
from mlops_assets.serving.scoring.scored import Scored, no_scores, scored
from mlops_assets.serving.scoring.table import CHECK, part_of, read_table, table_of

FITS = "rows_fit"
SHOWN = 5  # reasons in a check


@dataclass(frozen=True, kw_only=True)
class ScoresStep(Step):
    """The answers to the rows of a table in a segment and monitoring window."""

    @property
    def stage(self) -> Stage:
        """`scores`."""
        return Stage.SCORES

    def prepare(self, partition: str) -> Prepared:
        """Return the recipe: the table's rows, and who answers; it stays while the rows are the same.

        A champion that was promoted since answers what comes, not what has been answered.
        """
        segment, window = parse(partition)
        now = product_now(self.settings.serving(self.product.name), datetime.now(UTC))
        if not is_over(self.product, window, now):
            raise NotReady(f"{self.place(partition)}: the window has not ended, or its rows still come")
        part, head = part_of(self.archive, self.product, partition), self.archive.head(self.place(partition))
        root = part.record.root if part else ""
        if head is not None and head.record.state["table"] == root:
            state = head.record.state
        else:
            state = {**self._champion(segment), "table": root, "before": head.id if head else ""}
        inputs = [part.as_input()] if part else []
        inputs.append(self.archive.held(state["champion"]).as_input("model"))
        recipe = Recipe(
            place=self.place(partition),
            inputs=[(str(each.place), each.root) for each in inputs],
            params={"quarantine": self.product.quarantine},
            state=state,
            code=code_id("mlops_assets.serving.scoring.scored"),
        )
        return Prepared(recipe=recipe, inputs=inputs, build=partial(self._build, partition, part, state))

    def make(self, partition: str, *, run_id: str | None = None) -> Held:
        """Return the scores' record, made of the table as it is now."""
        read_table(self.archive, self.product, self.settings)
        return Step.make(self, partition, run_id=run_id)

    def _champion(self, segment: str) -> dict[str, str]:
        """Return the record of the model that the endpoint answers with, or would, and that of the deployment."""
        found = champions(self.settings.serving(self.product.name)).get(segment)
        if found is None:
            raise NotReady(f"{self.product.name}: segment {segment!r} has no champion yet; its first one scores")
        return {"champion": found.record, "deployment": found.deployment}

    def _build(self, partition: str, part: Held | None, state: dict[str, str]) -> Built:
        segment, window = parse(partition)
        if part is None:
            return self._built(0, Scored(no_scores(), pl.DataFrame(schema={"_reason": pl.String}), 0), state)
        rows = self.archive.table(part, "rows")
        earlier = self.archive.table(self.archive.held(state["before"]), "scores") if state["before"] else no_scores()
        champion = self._scorer(segment, state["champion"], state["deployment"])
        self._check(champion)
        found = scored(rows, champion, earlier, self._before(segment, earlier))
        ids = found.scores["inference_id"].drop_nulls()  # the endpoint takes their outcomes from now on
        keep_scored(self.settings.serving(self.product.name), window, segment, ids)
        return self._built(rows.height, found, state)

    def _check(self, champion: Scorer) -> None:
        """Check, before anything is scored, that the table has what the champion reads.

        Raises:
            NotReady: If not; it names the first column that is missing.
        """
        table = table_of(self.product)
        try:
            champion.check(header(source_files(table, self.settings.root)[0]), str(table.path))
        except SourceError as problem:
            raise NotReady(f"{self.product.name}: scores: {problem}", check=CHECK) from problem

    def _before(self, segment: str, earlier: pl.DataFrame) -> Iterator[Scorer]:
        """Yield those who gave earlier answers, the newest version first."""
        for version in earlier["version"].drop_nulls().unique().sort(descending=True):
            act = self.archive.ledger.version(self.product.name, int(version))
            if act is not None and act.record is not None:
                yield self._scorer(segment, act.record, "")

    def _scorer(self, segment: str, record: str, deployment: str) -> Scorer:
        table = self.settings.root / (table_of(self.product).path or "")
        return Scorer(answerer(self.settings, self.product, segment, Answering(record, deployment), table))

    def _built(self, rows: int, found: Scored, state: dict[str, str]) -> Built:
        reasons = found.set_aside["_reason"]
        common = reasons.value_counts(sort=True).head(SHOWN)
        facts: dict[str, Json] = {"rows": rows, "set_aside": len(reasons), "reasons": dict(common.iter_rows())}
        fits = Check(
            name=FITS,
            passed=len(reasons) <= self.product.quarantine * rows,
            severity="warn",
            blocking=False,
            facts=facts,
        )
        told: dict[str, Json] = {
            "rows": rows,
            "answered": found.answered - found.kept,
            "answered_before": found.kept,
            "set_aside": len(reasons),
            "versions": sorted(found.scores["version"].drop_nulls().unique()),
            "predecessor": state["before"] or None,
        }
        outputs = {"scores": found.scores, "set_aside": found.set_aside}
        return Built(outputs=outputs, checks=(Check(name=CHECK, passed=True), fits), facts=told)


def is_over(product: ModelProduct, window: str, now: datetime) -> bool:
    """Return whether a window has ended, and the rows that may come later have come."""
    delay = product.scores.delay if product.scores else product.monitor.grace
    return product.grid.bounds(window)[1] + delay <= now
