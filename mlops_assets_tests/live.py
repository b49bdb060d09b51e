"""Traffic of `tiny`: days that are replayed against its endpoint, with what became of each row."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from mlops_assets.operations.traffic import Answer, Client
from mlops_assets_tests.started import endpoint, until
from mlops_assets_tests.tiny import DAY, HISTORY_DAYS, NAME, START, Tiny, rows

UP = ("up", "--port", "0", "--endpoint-port", "0", "--clock", "replay")
FIRST_DAY = START + HISTORY_DAYS * DAY


@contextmanager
def connected(tiny: Tiny) -> Iterator[Client]:
    """A client of the endpoint, once there is one."""
    client = Client(url=until(lambda: endpoint(tiny.settings, NAME), what="an endpoint"), product=NAME)
    with closing(client):
        yield client


def replay(client: Client, *, day: int, turned: bool) -> None:
    """Send a day of rows, tell at once what became of them, and let the day end."""
    first, sent = FIRST_DAY + day * DAY, len(client.answers)
    for row in rows(first, 1, turned=turned, seed=day + 1).iter_rows(named=True):
        client.predict(row, at=row.pop("at"), segment="all", label=row.pop("good"))
    client.report(client.answers[sent:])
    client.advance(first + DAY)


def answer_of(client: Client, version: int, *, day: int) -> Answer | None:
    """Ask once more, early on `day`, and return the answer if that version gave it."""
    [row] = rows(FIRST_DAY + day * DAY, 1).head(1).iter_rows(named=True)
    client.predict(row, at=row.pop("at"), segment="all", label=row.pop("good"))
    return client.answers[-1] if client.answers[-1].version == version else None
