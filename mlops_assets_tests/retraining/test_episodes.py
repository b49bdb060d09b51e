"""From the alarms that decisions considered to drifts: what belongs together, what ended it, and how long it took."""

from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.evidence.ledger import Act
from mlops_assets.retraining.episodes import Drift, Found, Took, drifts, mean
from mlops_assets.retraining.shown import drift_lines
from mlops_assets.retraining.stored import Stored
from mlops_assets.retraining.words import took

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
REPLAYED = datetime(2031, 1, 1, tzinfo=UTC)  # the wall clock of a replay


def found(id: str, day: int, *, judged: datetime, kind: str = "data", version: int = 1, segment: str = "bath") -> Found:
    """A verdict of drift on the window that begins on `day` of March 2026, sealed a minute before it was judged."""
    start = MIDNIGHT + day * DAY
    return Found(
        id=id,
        segment=segment,
        kind=kind,
        version=version,
        window=f"{start:%Y-%m-%d}",
        end=start + DAY,
        words="price is higher",
        sealed=judged - timedelta(minutes=1),
        judged=judged,
    )


def decision(id: str, at: datetime, *considered: str, wall: datetime | None = None, retrain: bool = False) -> Stored:
    return Stored(
        id=id,
        product="houses",
        segment="bath",
        at=at.isoformat(),
        decided_at=(wall or at).isoformat(),
        retrain=retrain,
        target="2026-03-02" if retrain else None,
        reasons=[],
        alarms=list(considered) if retrain else [],
        trigger=None,
        considered=list(considered),
    )


def act(kind: str, at: datetime, *, version: int | None = None, record: str | None = None, by: str = "gate", **facts):
    segment = None if kind == "deploy" else "bath"
    return Act(
        kind=kind,
        product="houses",
        segment=segment,
        version=version,
        record=record,
        by=by,
        reason="",
        at=at.isoformat(),
        facts=facts,
    )


FIRST = act("promote", MIDNIGHT - DAY, version=1)
JUDGED = MIDNIGHT + DAY + HOUR  # an hour after the end of the second of March
REPAIRED = MIDNIGHT + 3 * DAY


def test_alarms_of_one_kind_up_to_the_promotion_are_one_drift_with_its_times():
    alarms = [found("a", 0, judged=JUDGED), found("b", 1, judged=JUDGED + DAY), found("c", 1, judged=JUDGED + 2 * HOUR)]
    decisions = [decision("no", JUDGED, "a"), decision("yes", JUDGED + DAY, "a", "b", "c", retrain=True)]
    acts = [
        FIRST,
        act("register", REPAIRED, version=2, decision="yes"),
        act("promote", REPAIRED, version=2),
        act("deploy", REPAIRED + HOUR, bath=2),
    ]

    [drift] = drifts(alarms, decisions, acts)

    assert (drift.first, drift.last, drift.windows, drift.alarms) == ("2026-03-02", "2026-03-03", 2, ["a", "c", "b"])
    assert (drift.ending, drift.by, drift.decision) == ("repaired", "houses@2", "yes")
    assert drift.detect == Took(product_s=3600, wall_s=3600)
    assert drift.repair == Took(product_s=47 * 3600, wall_s=47 * 3600)
    assert drift.deployed == (REPAIRED + HOUR).isoformat()


def test_under_a_replayed_clock_both_times_are_told():
    """Found two days after its window, repaired ten days later: on the wall, all of it took 70 seconds."""
    wall, known = REPLAYED, MIDNIGHT + 3 * DAY
    decisions = [
        decision("no", known, "a", wall=wall),
        decision("yes", known + 10 * DAY, "a", wall=wall + timedelta(seconds=65), retrain=True),
    ]
    acts = [
        act("promote", wall - DAY, version=1),
        act("register", wall + timedelta(seconds=70), version=2, decision="yes"),
        act("promote", wall + timedelta(seconds=70), version=2),
    ]

    [drift] = drifts([found("a", 0, judged=wall, kind="concept")], decisions, acts)

    assert drift.detect == Took(product_s=2 * 86_400, wall_s=60)
    assert drift.repair == Took(product_s=10 * 86_400, wall_s=70)
    assert drift_lines([drift]) == [
        "drifts",
        "  bath       concept    2026-03-02: found after 2 d, repaired after 1 w 3 d by houses@2, not deployed yet,"
        " wall clock: from sealing 1 min, repair 1 min 10 s",
        "  mean time to detect 2 d, mean time to repair 1 w 3 d",
    ]


@pytest.mark.parametrize(
    ("acts", "ending", "by"),
    [
        ([], "open", None),
        ([act("dismiss", REPAIRED, record="a", by="jo")], "dismissed", "jo"),
        ([act("rollback", REPAIRED, version=4)], "rolled back", "houses@4"),
        ([act("promote", REPAIRED, version=2)], "repaired", "houses@2"),
        ([act("promote", JUDGED - HOUR, version=2)], "repaired", "houses@2"),  # the clock was set back meanwhile
    ],
)
def test_what_ended_a_drift_is_named(acts: list[Act], ending: str, by: str | None):
    [drift] = drifts([found("a", 0, judged=JUDGED)], [decision("no", JUDGED, "a")], [FIRST, *acts])

    assert (drift.ending, drift.by) == (ending, by)
    assert (drift.repair is not None) is (ending == "repaired")


@pytest.mark.parametrize(
    "other", [{"kind": "concept"}, {"version": 2}, {"segment": "york"}, {"judged": REPAIRED + 2 * DAY}]
)
def test_another_kind_version_segment_or_time_is_another_drift(other: dict):
    dismissed = act("dismiss", REPAIRED, record="a", by="jo")
    alarms = [found("a", 0, judged=JUDGED), found("b", 1, **{"judged": JUDGED + DAY} | other)]

    assert len(drifts(alarms, [decision("no", JUDGED, "a", "b")], [FIRST, dismissed])) == 2


def test_a_version_that_came_back_has_its_own_drifts_again():
    """Version 1 was repaired by 2, came back, and drifted again."""
    acts = [FIRST, act("promote", REPAIRED, version=2), act("rollback", REPAIRED + DAY, version=1)]
    alarms = [found("a", 0, judged=JUDGED), found("b", 5, judged=REPAIRED + 3 * DAY)]

    endings = [drift.ending for drift in drifts(alarms, [decision("no", JUDGED, "a", "b")], acts)]

    assert endings == ["repaired", "open"]


def test_means_count_what_was_found_and_what_was_repaired():
    def drift(detect: float, repair: float | None) -> Drift:
        [made] = drifts([found("a", 0, judged=JUDGED)], [], [FIRST])
        fields = {name: getattr(made, name) for name in made.__struct_fields__}
        took = Took(product_s=repair, wall_s=repair) if repair else None
        return Drift(**fields | {"detect": Took(product_s=detect, wall_s=detect), "repair": took})

    means = mean([drift(10, 100), drift(20, None), drift(30, 300)])

    assert (means.to_detect_s, means.to_repair_s) == (20, 200)
    assert (mean([]).to_detect_s, mean([]).to_repair_s) == (None, None)
    assert drift_lines([]) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.31, "0.3 s"), (59.99, "60.0 s"), (61, "1 min 1 s"), (3_600, "1 h"), (200_000, "2 d 7 h"), (-90, "-1 min 30 s")],
)
def test_a_span_is_told_in_its_two_largest_units(seconds: float, words: str):
    assert took(seconds) == words
