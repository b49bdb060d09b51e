"""A product that serves HTTP and scores a table too: a window waits for the endpoint that may log into it, and for no
other, and holds what both have answered."""

import os
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mlops_assets.evidence.step import NotReady
from mlops_assets.serving.log.ids import Ids, text, to_ms
from mlops_assets.serving.log.writer import Body, Columns, LogWriter, Part, Row
from mlops_assets.serving.workers import Registration, Worker
from mlops_assets_tests.serving.scoring.batch import day, predictions, score, scores, seal, write
from mlops_assets_tests.tiny import DAY, NAME, START, Tiny

NOON = START + 3.5 * DAY
END = START + 4 * DAY
COLUMNS = Columns([("width", "float"), ("height", "float")], [("width", "float"), ("height", "float")])


def registered(tiny: Tiny) -> Registration:
    """A worker that began on the fourth day and says nothing more."""
    worker = Worker(writer="here", pid=os.getpid(), url="http://127.0.0.1:1", clock="server", started=datetime.now(UTC))
    return Registration(tiny.settings.serving(NAME), worker)


def asked(tiny: Tiny) -> str:
    """Log one request of the fourth day, and return its id."""
    log = LogWriter(tiny.settings.serving(NAME) / "log", tiny.product.grid, "here")
    id_ = Ids().new(to_ms(NOON))
    columns = msgspec.Raw(msgspec.msgpack.encode(COLUMNS))
    row = Row(None, "asked", 0.75, (0.4, 0.5), None)
    log.append(id_, Body(100, scores(tiny)["deployment"][0], [Part("all", 1, columns, [row])]))
    log.close()
    return text(id_)


def test_a_window_into_which_an_endpoint_may_still_log_is_not_sealed(tiny: Tiny):
    write(tiny, day(4))
    score(tiny)
    worker = registered(tiny)
    worker.beat(NOON)

    with pytest.raises(NotReady, match="the window is still open"):
        seal(tiny)

    worker.beat(END)
    assert seal(tiny).record.facts["rows"] == 200


def test_a_window_holds_what_both_have_answered_each_once(tiny: Tiny):
    write(tiny, day(4))
    score(tiny)
    worker = registered(tiny)
    worker.beat(START + 3 * DAY)
    id_ = asked(tiny)
    worker.beat(END + timedelta(hours=1))

    seal(tiny)
    write(tiny, day(4).vstack(day(4)[:1].with_columns(id=day(5)["id"][:1])))
    score(tiny)
    seal(tiny)

    sealed = predictions(tiny)
    assert sealed.height == 202
    assert set(sealed["inference_id"]) == {id_, *scores(tiny)["inference_id"]}
