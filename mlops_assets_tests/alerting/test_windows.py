"""Windows that show the same thing in a row are one episode; what ends one, and what does not."""

from datetime import UTC, datetime

import pytest

from mlops_assets.alerting.heads import Head, Heads, StageHeads
from mlops_assets.alerting.windows import Episode, episodes, live_alerts, without

AT = datetime(2026, 3, 1, tzinfo=UTC).isoformat()


def head(mark: str, version: int = 1) -> Head:
    """The head of a window: `.` is ok, `?` cannot tell, a letter is a drift of that kind."""
    kind = {"d": "data drift", "j": "joint drift", "s": "schema drift"}.get(mark)
    marks = ((kind, f"{kind}: x moved"),) if kind else ()
    return Head((0, 0), f"record {mark}{version}", mark != "?", "", marks, version if kind else 0, AT if kind else "")


def windows(marks: str, version: int = 1) -> list[tuple[str, Head]]:
    return [(f"2026-03-{day:02}", head(mark, version)) for day, mark in enumerate(marks, 1)]


def said(found: list[Episode]) -> list[tuple[str, int, bool]]:
    """Kind, number of windows, and whether it is over."""
    return [(episode.kind, len(episode.windows), episode.over) for episode in found]


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ("....", []),
        ("..d", [("data drift", 1, False)]),
        ("ddd.", [("data drift", 3, True)]),
        ("d?d", [("data drift", 2, False)]),  # a window that cannot tell ends nothing
        ("d.d", [("data drift", 1, True), ("data drift", 1, False)]),
        ("djd", [("data drift", 2, False), ("joint drift", 1, False)]),  # a window has one verdict, of one kind
        ("dj.", [("data drift", 1, True), ("joint drift", 1, True)]),
        ("d" * 200, [("data drift", 200, False)]),
    ],
)
def test_an_episode_ends_with_a_window_that_is_fine(marks: str, expected: list):
    assert said(episodes(windows(marks), champion=1)) == expected


def test_a_new_model_ends_what_was_said_of_the_one_before():
    replaced = [*windows("dd"), ("2026-03-03", head("d", version=2))]

    assert said(episodes(windows("dd"), champion=2)) == [("data drift", 2, True)]
    assert said(episodes(replaced, champion=2)) == [("data drift", 2, True), ("data drift", 1, False)]


def heads(marks: str) -> Heads:
    return {"drift": StageHeads(0, {f"north|{window}": each for window, each in windows(marks)})}


def test_an_alert_tells_its_newest_window_and_how_many_there_are():
    [found] = live_alerts("loans", heads(".ddd"), {"north": 1}, (), "http://ui")

    assert found.alert.words == "2026-03-04: data drift: x moved; 3 windows since 2026-03-02"
    assert found.alert.id == "loans/north/data drift/2026-03-02"
    assert found.alert.link == "http://ui/assets/loans/drift?view=partitions&partition=north%7C2026-03-04"


def test_an_open_alert_keeps_its_id_when_an_earlier_window_is_judged_anew():
    [found] = live_alerts("loans", heads("dddd"), {"north": 1}, {"loans/north/data drift/2026-03-03"}, "http://ui")

    assert found.alert.id == "loans/north/data drift/2026-03-03"


def test_a_schema_change_is_an_error_and_a_dismissed_verdict_is_nothing():
    [found] = live_alerts("loans", heads(".s"), {"north": 1}, (), "http://ui")
    dismissed = live_alerts("loans", without(heads(".s"), frozenset({"record s1"})), {"north": 1}, (), "http://ui")

    assert found.alert.severity == "error"
    assert list(dismissed) == []
