"""Each alert is told once, over restarts, failures and races; a flood is one message; the end is told too."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.alerting.alert import Alert, Found
from mlops_assets.alerting.changes import changes
from mlops_assets.alerting.delivery import UNSURE, Tries, deliver
from mlops_assets.alerting.history import History
from mlops_assets.alerting.messages import APART, STALE
from mlops_assets.alerting.notifier import AppriseNotifier, Problem
from mlops_assets_tests.alerting.fakes import Outbox, Receiver

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DOWN = Problem(words="not reached, or not accepted")
LATE = Problem(words="no answer within 10 s; it may have arrived", unsure=True)


def alert(name: str = "drift", *, kind: str = "data drift", segment: str = "north") -> Alert:
    return Alert(
        id=name,
        product="loans",
        segment=segment,
        kind=kind,
        severity="warning",
        words=f"{name}: salary is 0.77 sd higher",
        record="ab" * 32,
        link="http://127.0.0.1:3000/assets/loans/drift",
    )


def noted(home: Path, *found: Found | Alert, at: datetime = NOON) -> None:
    """Note what was found, as a look does, in a process of its own."""
    history = History(home)
    history.begin(at)
    whole = [each if isinstance(each, Found) else Found(alert=each) for each in found]
    news = changes(whole, history.cases(), {}, set(), at)
    history.change(news.opened, news.ended, at)


def told(home: Path, outbox: Outbox, *, at: datetime = NOON, tries: dict[str, Tries] | None = None) -> dict[str, Tries]:
    return deliver(History(home), outbox, tries or {}, at)


def test_an_alert_is_told_once_with_its_evidence_and_link_however_often_it_is_found(home: Path):
    outbox = Outbox()

    for at in (NOON, NOON + MINUTE, NOON + 60 * MINUTE):
        noted(home, alert(), at=at)
        told(home, outbox, at=at)

    [(to, message)] = outbox.sent
    assert (to, message.title, message.level) == ("1 memory", "loans north: data drift", "warning")
    assert message.body.splitlines() == [
        "drift: salary is 0.77 sd higher",
        "evidence: record abababababababab",
        alert().link,
    ]


def test_an_end_is_told_and_the_next_episode_is_told_anew(home: Path):
    outbox = Outbox()

    for hour, found in enumerate([[alert()], [], [], [alert()]]):
        noted(home, *found, at=NOON + hour * 60 * MINUTE)
        told(home, outbox, at=NOON + hour * 60 * MINUTE)

    assert outbox.titles == ["loans north: data drift", "loans north: data drift is over", "loans north: data drift"]
    assert [message.level for _, message in outbox.sent] == ["warning", "over", "warning"]
    assert outbox.sent[1][1].body.startswith("over: drift: salary")


def test_two_hundred_alerts_of_a_kind_are_one_message_with_their_count(home: Path):
    outbox = Outbox()
    noted(home, *(alert(f"w{number}") for number in range(200)), alert("other", segment="south"))

    told(home, outbox)

    assert outbox.titles == ["loans north: data drift (200)", "loans south: data drift"]
    paragraphs = outbox.sent[0][1].body.split("\n\n")
    assert [paragraph.split(":")[0] for paragraph in paragraphs] == ["w0", "w1", "w199", "and 197 more"]


def test_what_comes_soon_after_a_message_of_its_group_is_gathered_into_the_next(home: Path):
    outbox = Outbox()

    for minute in range(7):
        noted(home, *(alert(f"w{number}") for number in range(minute + 1)), at=NOON + minute * MINUTE)
        told(home, outbox, at=NOON + minute * MINUTE)

    assert outbox.titles == [
        "loans north: data drift",
        "loans north: data drift (5)",
    ]  # 12:00, 12:05
    assert APART == 5 * MINUTE


def test_a_clock_that_steps_back_holds_nothing_up(home: Path):
    outbox = Outbox()
    noted(home, alert("one"))
    told(home, outbox)

    noted(home, alert("one"), alert("two"), at=NOON - 600 * MINUTE)
    told(home, outbox, at=NOON - 600 * MINUTE)

    assert outbox.titles == ["loans north: data drift"] * 2


def test_a_failed_send_is_tried_at_the_next_look_and_neither_lost_nor_doubled(home: Path):
    outbox = Outbox(broken={"1 memory": DOWN})
    noted(home, alert())

    tries = told(home, outbox)
    again = told(home, outbox, tries=tries)
    outbox.broken.clear()
    mended = told(home, outbox, tries=again)
    after = told(home, outbox, tries=mended)

    assert (tries["1 memory"].problem, mended["1 memory"].problem) == (DOWN.words, "")
    assert len(outbox.tried) == 3
    assert len(outbox.sent) == 1
    assert after == mended


def test_one_broken_destination_does_not_stop_the_others_and_comes_last_the_next_time(home: Path):
    outbox = Outbox(names=("1 a", "2 b", "3 c"), broken={"1 a": DOWN})
    noted(home, alert())

    tries = told(home, outbox)
    noted(home, alert(), alert("x", kind="rollback"))
    told(home, outbox, tries=tries)

    assert [to for to, _ in outbox.sent] == ["2 b", "3 c", "2 b", "3 c"]
    assert [to for to, _ in outbox.tried] == ["1 a", "2 b", "3 c", "2 b", "3 c", "1 a"]


def test_a_message_that_is_refused_does_not_hold_up_the_others_of_its_destination(home: Path):
    class Picky(Outbox):
        def send(self, to, message):
            return DOWN if "rollback" in message.title else Outbox.send(self, to, message)

    outbox = Picky()
    noted(home, alert("x", kind="rollback"), alert("y"))

    tries = told(home, outbox)
    told(home, outbox, tries=tries)

    assert outbox.titles == ["loans north: data drift"]


def test_a_destination_that_never_answers_in_time_gets_a_message_a_bounded_number_of_times(home: Path):
    outbox = Outbox(broken={"1 memory": LATE})
    noted(home, alert())

    tries: dict[str, Tries] = {}
    for _ in range(3 * UNSURE):
        tries = told(home, outbox, tries=tries)

    assert len(outbox.tried) == UNSURE
    assert tries["1 memory"].problem == LATE.words  # it stays known that nobody answered


def test_a_look_has_a_time_limit_and_the_next_one_goes_on_where_it_ended(home: Path):
    outbox = Outbox()
    noted(home, alert("x", kind="rollback"), alert("y"))

    deliver(History(home), outbox, {}, NOON, within=timedelta(0))
    none = list(outbox.titles)
    told(home, outbox)

    assert none == []
    assert sorted(outbox.titles) == ["loans north: data drift", "loans north: rollback"]


def test_what_was_over_before_it_could_be_told_is_one_message_and_old_news_is_none(home: Path):
    outbox = Outbox(broken={"1 memory": DOWN})
    noted(home, alert())
    told(home, outbox)
    noted(home, at=NOON + MINUTE)
    outbox.broken.clear()
    late = Outbox(names=("2 late",))

    told(home, outbox, at=NOON + 2 * MINUTE)
    told(home, late, at=NOON + 2 * MINUTE + STALE)

    assert outbox.titles == ["loans north: data drift is over"]
    assert late.sent == []


def test_a_destination_that_is_added_is_told_of_what_is_open(home: Path):
    noted(home, alert())
    told(home, Outbox())
    added = Outbox(names=("1 memory", "2 new"))

    told(home, added, at=NOON + 60 * MINUTE)

    assert [to for to, _ in added.sent] == ["2 new"]


def test_a_kill_between_sending_and_noting_sends_that_message_once_more(home: Path):
    class Killed(Outbox):
        def send(self, to, message):
            Outbox.send(self, to, message)
            raise KeyboardInterrupt

    first, second = Killed(), Outbox()
    noted(home, alert("x", kind="rollback"), alert("y"))

    with pytest.raises(KeyboardInterrupt):
        told(home, first)
    told(home, second)
    told(home, second)

    assert len(first.sent) == 1
    assert len(second.sent) == 2


def test_a_torn_last_line_of_the_history_loses_nothing_else(home: Path):
    outbox = Outbox()
    noted(home, alert())
    told(home, outbox)
    path = home / "alerts" / "history.jsonl"
    path.write_bytes(path.read_bytes() + b'{"number": 3, "pre')

    noted(home, alert(), alert("next", segment="south"))
    told(home, outbox)

    assert outbox.titles == ["loans north: data drift", "loans south: data drift"]


def test_a_condition_has_to_last_before_it_counts():
    home_cases = History(Path("/nowhere")).cases()
    found = [Found(alert=alert(), after=10 * MINUTE)]

    first = changes(found, home_cases, {}, set(), NOON)
    gone = changes([], home_cases, first.waiting, set(), NOON + MINUTE)
    still = changes(found, home_cases, first.waiting, set(), NOON + 9 * MINUTE)
    lasted = changes(found, home_cases, still.waiting, set(), NOON + 10 * MINUTE)

    assert [each.opened for each in (first, gone, still, lasted)] == [(), (), (), (alert(),)]
    assert (first.waiting, gone.waiting, still.waiting) == ({"drift": NOON}, {}, {"drift": NOON})


def test_what_had_ended_before_anybody_looked_is_no_news_and_what_came_and_went_since_is(home: Path):
    outbox = Outbox()
    before = Found(alert=alert("old"), over=True, at=NOON - MINUTE)
    between = Found(alert=alert("short"), over=True, at=NOON + MINUTE)

    noted(home, before)
    noted(home, before, between, at=NOON + 2 * MINUTE)
    noted(home, before, between, at=NOON + 3 * MINUTE)
    told(home, outbox, at=NOON + 3 * MINUTE)

    [(_, message)] = outbox.sent
    assert (message.title, message.ids) == ("loans north: data drift is over", ("short",))


def test_alerts_of_a_product_that_could_not_be_looked_at_stay_as_they_are(home: Path):
    noted(home, alert())
    history = History(home)

    blind = changes([], history.cases(), {}, {"loans"}, NOON)
    seeing = changes([], history.cases(), {}, {"houses"}, NOON)

    assert (blind.ended, seeing.ended) == ((), ("drift",))


def test_real_posts_go_on_after_a_receiver_was_down_refused_and_hung(home: Path, receiver: Receiver):
    other = Receiver()
    notifier = AppriseNotifier([receiver.url(), other.url()], timeout_s=0.5)
    noted(home, alert())
    problems: list[str] = []

    receiver.status, tries = 500, {}
    for status in (500, 200):
        receiver.status = status
        tries = deliver(History(home), notifier, tries, NOON)
        problems.append(tries["1 json"].problem)
    tries = deliver(History(home), notifier, tries, NOON)
    other.close()

    assert problems == ["refused with HTTP status 500", ""]
    assert [len(receiver.got), len(other.got)] == [2, 1]


def test_two_histories_written_at_once_lose_no_line(home: Path):
    def work(name: str) -> None:
        for number in range(20):
            History(home).told([], name, "g", NOON + number * MINUTE)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert History(home).cases().told == {(name, "g"): NOON + 19 * MINUTE for name in "ab"}
