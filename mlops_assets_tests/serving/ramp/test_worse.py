"""A canary made worse on purpose is taken back, by the endpoint or by the sensor; nobody is let down meanwhile."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import numpy as np
import polars as pl
import pytest

from mlops_assets.cli import main
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act
from mlops_assets.evidence.traffic import traffic_of
from mlops_assets.product import DATA, Endpoint, Stage
from mlops_assets.rules import Trainer
from mlops_assets.serving.ramp.acts import deploy, set_traffic
from mlops_assets.settings import Settings, adopt
from mlops_assets_tests.houses import (
    HOUSES,
    TREES,
    WEEKS,
    champion,
    declare,
    deployment,
    looped,
    make,
    registered,
    sales,
)
from mlops_assets_tests.serving.ramp import worse
from mlops_assets_tests.started import endpoint, started, until

PRODUCT = HOUSES.model_copy(
    update={
        "trainer": Trainer(windows=1, params=dict(TREES)),
        "endpoint": Endpoint.model_validate(
            {"canary": {"steps": ["50%", "100%"], "hold": "1h", "score_shift": 2, "quality": 0.1}}
        ),
    }
)
OTHERWISE, SLOW, ERRING = 3, 4, 5


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Champions 1 (Bath) and 2 (York), and candidates: 3 of York says the contrary, 4 of York is slow, 5 of Bath errs.

    6 of Bath says the contrary, too.
    """
    rows = sales(3, rows=150)
    turned = pl.when(pl.col("id").str.slice(5, 4) >= "0119").then(1 - pl.col("sold")).otherwise("sold")
    found = deployment(tmp_path_factory.mktemp("worse"), rows.with_columns(sold=turned))
    declare(found, PRODUCT)
    adopt(found)
    for version, (partition, features) in enumerate(
        (
            (f"bath|{WEEKS[0]}", "plain"),
            (f"york|{WEEKS[0]}", "plain"),
            (f"york|{WEEKS[2]}", "plain"),
            (f"york|{WEEKS[1]}", "slow"),
            (f"bath|{WEEKS[1]}", "erring"),
            (f"bath|{WEEKS[2]}", "plain"),
        ),
        1,
    ):
        product = PRODUCT.model_copy(update={"features": f"{worse.__name__}.{features}"})
        held = make(found, product, partition, *DATA, Stage.MODEL)[Stage.MODEL]
        (champion if version <= 2 else registered)(found, held, version)
    deploy(found, PRODUCT)
    return found


class Asking:
    """Asks for houses of a town without a pause, and may report what becomes of them; `failed` was not answered."""

    def __init__(self, url: str, town: str, *, cheap: bool, reports: bool) -> None:
        self._place, self._town, self._most, self._reports = urlsplit(url).netloc, town, 40 if cheap else 100, reports
        self.failed: list[object] = []
        self.versions: list[int] = []

    def run(self, over: threading.Event) -> None:
        draw = np.random.default_rng(3)
        with closing(HTTPConnection(self._place, timeout=60)) as connection:
            while not over.is_set():
                price = round(float(draw.uniform(0, self._most)), 1)
                row = {"price": price, "town": self._town, "id": "x"}
                status, id_, version = post(connection, "/v2/models/houses/infer", row)
                if status != 200:
                    self.failed.append(status)
                self.versions.append(version)
                if self._reports:
                    told = {"outcomes": [{"inference_id": id_, "label": int(price < 50)}]}
                    post(connection, "/v2/models/houses/outcomes", told)


def post(connection: HTTPConnection, path: str, body: object) -> tuple[int, str, int]:
    connection.request("POST", path, json.dumps(body))
    answer = connection.getresponse()
    answer.read()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return answer.status, headers.get("mlops-inference-id", ""), int(headers.get("mlops-model-version", 0))


@contextmanager
def asking(url: str, *askers: Asking) -> Iterator[None]:
    over = threading.Event()
    threads = [threading.Thread(target=each.run, args=(over,)) for each in askers]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in threads:
            each.join()


@pytest.fixture(scope="module")
def url(settings: Settings) -> Iterator[str]:
    with started(settings, "serve", "houses", "--port", "0"):
        yield until(lambda: endpoint(settings, "houses"), what="an endpoint")


def gone(settings: Settings, version: int) -> Act | None:
    acts = Archive(settings.home).ledger.acts("houses", "withdraw")
    return next((act for act in acts if act.version == version), None)


def tried(settings: Settings, segment: str, version: int) -> None:
    set_traffic(settings, PRODUCT, segment, "canary", version, 0.5, by="jo", reason="try it")


def test_without_dagster_one_that_errs_and_one_that_is_slow_are_taken_back_by_the_endpoint(
    settings: Settings, url: str
):
    bath, york = (Asking(url, town, cheap=False, reports=False) for town in ("bath", "york"))
    tried(settings, "bath", ERRING)
    tried(settings, "york", SLOW)

    with asking(url, bath, york):
        found = {version: until(lambda v=version: gone(settings, v)) for version in (ERRING, SLOW)}
        until(lambda: set(bath.versions[-20:]) == {1} and set(york.versions[-20:]) == {2}, what="the champions alone")

    assert found[ERRING].reason.startswith("it failed in ")
    assert "(the last one: RuntimeError" in found[ERRING].reason
    assert "secret" not in found[ERRING].reason  # an error's message might quote a request
    assert found[SLOW].reason.startswith("95% of its requests took up to ")
    assert {(act.by, act.facts["cause"]) for act in found.values()} == {("ramp", "worse")}
    assert bath.failed == york.failed == []
    assert SLOW in york.versions
    assert ERRING in bath.versions  # every other of its answers was good


def test_shifted_scores_are_taken_back_by_the_endpoint_and_a_worse_loss_by_the_sensor(settings: Settings, url: str):
    bath = Asking(url, "bath", cheap=True, reports=False)
    york = Asking(url, "york", cheap=False, reports=True)
    tried(settings, "bath", 6)
    tried(settings, "york", OTHERWISE)

    with looped(settings) as loop, asking(url, bath, york):
        shifted = until(lambda: gone(settings, 6), what="shifted scores")
        loss = until(lambda: (loop.tick("houses_traffic") and None) or gone(settings, OTHERWISE), what="a worse loss")

    assert shifted.reason.startswith("its scores differ from the champion's by ")
    assert loss.reason.startswith("its mean loss is ")
    assert bath.failed == york.failed == []
    acts = Archive(settings.home).ledger.acts("houses")
    assert [traffic_of(acts, town) for town in ("bath", "york")] == [{}, {}]
    [kept] = [act for act in acts if act.kind == "verdict"]
    assert (kept.version, kept.facts["answer"]) == (OTHERWISE, "worse")


def test_the_sensor_shows_what_was_deployed_without_dagster_once(settings: Settings, url: str):
    set_traffic(settings, PRODUCT, "bath", "shadow", 6, None, by="jo", reason="look")

    with looped(settings) as loop:
        ran = [loop.tick("houses_traffic") for _ in range(3)]

    assert [[(each.job, each.success) for each in tick] for tick in ran] == [[("houses_deploy", True)], [], []]


def test_a_person_sees_who_answers_what_share_and_how_that_stands(
    settings: Settings, url: str, capsys: pytest.CaptureFixture[str]
):
    home = ("--home", str(settings.home))
    assert main([*home, "traffic", "houses", "--split", "30%", "3", "--segment", "york", "--reason", "compare"]) == 0
    assert main([*home, "traffic", "houses", "--canary", "30%"]) == 1
    assert main([*home, "traffic", "houses", "--canary", "30", "3", "--segment", "york"]) == 1
    assert main([*home, "traffic", "houses", "--canary", "3%", "9", "--segment", "york"]) == 4
    said = capsys.readouterr()

    assert main([*home, "traffic", "houses"]) == 0
    shown = capsys.readouterr().out
    assert main([*home, "status", "houses"]) == 0
    status = capsys.readouterr().out

    assert said.out.startswith("houses[york]: version 3 answers 30% as split (compare)\ndeployment ")
    assert "--canary 30%: right is a share and a version, such as --canary 5% VERSION" in said.err
    assert "'30' is no share of the traffic; right is a percentage, such as 5%" in said.err
    assert "no version houses@9; known versions: 1, 2, 3, 4, 5, 6" in said.err
    assert "york         champion    2     70%" in shown
    assert "             split       3     30%" in shown
    assert "0 outcomes and 0 of the champion are too few to compare" in shown
    assert "split       3     30%" in status
