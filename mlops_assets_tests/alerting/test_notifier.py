"""Messages leave through apprise: a real POST, every way to fail, and no secret in what is said of it."""

import json
import logging
import subprocess
import sys
import time
from io import StringIO

import pytest

from mlops_assets.alerting.messages import Message
from mlops_assets.alerting.notifier import AppriseNotifier, Problem
from mlops_assets.alerting.shown import tried, tried_lines
from mlops_assets.settings import load_settings
from mlops_assets_tests.alerting.fakes import Outbox, Receiver

SECRET = "xoxb-Secret-42"
MESSAGE = Message(group="g", ids=("a",), level="error", title="loans north: data drift", body="salary is higher\nlink")


def sent(url: str, *, timeout_s: float = 5) -> Problem | None:
    notifier = AppriseNotifier([url], timeout_s=timeout_s)
    return notifier.send(notifier.names[0], MESSAGE)


def test_a_message_is_posted_with_its_title_its_lines_and_its_level(receiver: Receiver):
    problem = sent(receiver.url())

    assert problem is None
    [got] = receiver.got
    assert (got["title"], got["message"], got["type"]) == (MESSAGE.title, MESSAGE.body, "failure")


def test_a_receiver_that_refuses_is_named_by_its_status_and_not_by_what_it_wrote(receiver: Receiver):
    receiver.status, receiver.answer = 500, SECRET.encode()

    problem = sent(receiver.url(SECRET))

    assert problem == Problem(words="refused with HTTP status 500")
    assert len(receiver.got) == 1  # it is not tried again here: the next look does


def test_a_receiver_that_is_down_is_not_reached(receiver: Receiver):
    url = receiver.url(SECRET)
    receiver.close()

    problem = sent(url)

    assert problem == Problem(words="not reached, or not accepted")


def test_a_receiver_that_does_not_answer_in_time_may_have_got_it(receiver: Receiver):
    receiver.hang()
    began = time.monotonic()

    problem = sent(receiver.url(), timeout_s=0.3)

    assert problem == Problem(words="no answer within 0.3 s; it may have arrived", unsure=True)
    assert time.monotonic() - began < 10
    assert len(receiver.got) == 1


@pytest.mark.parametrize("url", [f"nonsense://{SECRET}", "slack://short", f"{SECRET}", "json://"])
def test_a_url_that_apprise_cannot_use_is_a_problem_and_no_exception(url: str):
    problem = sent(url)

    assert problem == Problem(words="no URL that apprise can use; see appriseit.com for how it is written")


def test_nothing_that_is_said_logged_or_shown_has_a_secret_in_it(receiver: Receiver, capfd: pytest.CaptureFixture[str]):
    log = logging.StreamHandler(logged := StringIO())  # `caplog` would listen to loggers that tell nobody else
    logging.getLogger().addHandler(log)
    receiver.status = 403
    urls = [f"json://user:{SECRET}@127.0.0.1:{receiver.port}/{SECRET}?+X-Token={SECRET}", f"tgram://{SECRET}", SECRET]
    notifier = AppriseNotifier(urls)

    found = tried(notifier)

    logging.getLogger().removeHandler(log)
    said = "\n".join([*tried_lines(found), *notifier.names, repr(found), logged.getvalue(), *capfd.readouterr()])
    assert [each.name for each in found] == ["1 json", "2 tgram", "3 unreadable"]
    assert all(each.problem for each in found)
    assert SECRET not in said


def test_settings_read_destinations_apart_and_do_not_show_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLOPS_ASSETS_ALERTS", f"slack://{SECRET}/b/c, mailto://u:p@x.y?to=a@b.c,d@e.f\n json://h/x,")

    settings = load_settings()

    assert settings.alerts == (f"slack://{SECRET}/b/c", "mailto://u:p@x.y?to=a@b.c,d@e.f", "json://h/x")
    assert SECRET not in repr(settings)


def test_without_destinations_a_test_says_how_one_is_named():
    with pytest.raises(ValueError, match="MLOPS_ASSETS_ALERTS names no destination; right are apprise URLs"):
        tried(Outbox(names=()))


def test_a_send_talks_to_its_receiver_alone_and_writes_no_file(receiver: Receiver):
    """Apprise has a store of its own and pictures on the web; neither is used, and nobody else hears of the message."""
    program = f"""
import json, os, sys
seen = []
def hook(event, args):
    if event == "socket.connect":
        seen.append(str(args[1]))
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        seen.append(str(args[0]))
from mlops_assets.alerting.notifier import AppriseNotifier
from mlops_assets.alerting.messages import Message
assert "apprise" not in sys.modules
sys.addaudithook(hook)
message = Message(group="g", ids=(), level="over", title="t", body="b")
assert AppriseNotifier([{receiver.url()!r}]).send("1 json", message) is None
print(json.dumps(seen))
"""
    done = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [f"('127.0.0.1', {receiver.port})"]
    assert "github" not in json.dumps(receiver.got)
