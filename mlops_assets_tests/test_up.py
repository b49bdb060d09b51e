"""`up`: the loop closes with nobody touching it, and it stops cleanly."""

from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import Place
from mlops_assets.product import Stage
from mlops_assets.retraining.stored import Stored, stored_decisions
from mlops_assets_tests.live import FIRST_DAY, UP, answer_of, connected, replay
from mlops_assets_tests.started import asked, processes, ran, started, until
from mlops_assets_tests.tiny import DAY, NAME, Tiny

FIRST, SECOND = 1, 2
RUNS = "{runsOrError(limit: 100) {... on Runs {results {jobName status}}}}"
WITHIN_S = 180.0  # it takes 30 s where nothing else runs


@pytest.mark.slow
def test_under_up_drifting_traffic_is_answered_by_a_retrained_version_with_nobody_touching_it(tiny_product: Tiny):
    ran(tiny_product.settings, "backfill", NAME)

    with started(tiny_product.settings, *UP) as up, connected(tiny_product) as client:
        ui = until(lambda: asked(up.ui, RUNS), what="an answer of the UI")
        replay(client, day=0, turned=False)
        before = client.answers[-1].version
        replay(client, day=1, turned=True)
        ended = datetime.now(UTC)
        answered = until(lambda: answer_of(client, SECOND, day=2), within_s=WITHIN_S, what="an answer of version 2")
        seconds = parts(tiny_product, ended)
        runs = asked(up.ui, RUNS)
        code = up.stop()

    asking = [decision for decision in decisions(tiny_product) if decision.retrain]
    print("reaction:", ", ".join(f"{part} {at:.1f} s" for part, at in seconds.items()))
    assert (before, answered.version, client.failures) == (FIRST, SECOND, [])
    assert [(each.target, each.trigger) for each in asking] == [("2024-01-05", "concept drift")]
    assert str(ui).count("tiny_retrain") == 1  # that of the backfill
    assert {"tiny_seal", "tiny_data", "tiny_retrain"} <= {run["jobName"] for run in runs["runsOrError"]["results"]}
    assert (code, processes(tiny_product.settings.home)) == (0, {})


def test_up_answers_503_before_a_champion_and_ends_with_all_it_started_when_asked_to(tiny_product: Tiny):
    with started(tiny_product.settings, *UP) as up, connected(tiny_product) as client:
        client.predict({"width": 0.5, "height": 0.5}, at=FIRST_DAY, segment="all", label=1)
        running = processes(tiny_product.settings.home)
        code = up.stop()

    [failure] = client.failures
    assert failure.startswith("503 ")
    assert "no champion yet" in failure
    assert any("dagster" in command for command in running.values())
    assert (code, processes(tiny_product.settings.home)) == (0, {})


def decisions(tiny: Tiny) -> list[Stored]:
    return stored_decisions(tiny.settings.home, NAME)


def parts(tiny: Tiny, since: datetime) -> dict[str, float]:
    """Return when each part of the reaction was done, in seconds after the drifting day ended; the answer is last."""
    archive, partition = Archive(tiny.settings.home), f"all|{FIRST_DAY + DAY:%Y-%m-%d}"
    stages = (Stage.PREDICTIONS, Stage.PERFORMANCE, Stage.FEATURES, Stage.MODEL, Stage.CHAMPION)
    made = {stage: archive.head(Place(product=NAME, stage=stage, partition=partition)) for stage in stages}
    at = {str(stage): datetime.fromisoformat(held.envelope.at) for stage, held in made.items() if held is not None}
    at["decision"] = next(datetime.fromisoformat(each.decided_at) for each in decisions(tiny) if each.retrain)
    at["answer"] = datetime.now(UTC)
    return {part: (when - since) / timedelta(seconds=1) for part, when in sorted(at.items(), key=lambda each: each[1])}
