"""What the page's paths answer: figures, fields, proofs; also with the store away, and for references of nobody."""

import asyncio
import json
import re
import shutil
import threading
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from mlops_assets.evidence.archive import Held
from mlops_assets.evidence.records import Code, Envelope, File, Output, Place, Record
from mlops_assets.lineage.proof import Proof
from mlops_assets.lineage.shown import ancestry
from mlops_assets.lineage.walk import Walk
from mlops_assets.serving.page.fields import usual_values
from mlops_assets.serving.page.page import Page
from mlops_assets.serving.page.pulse import SPAN, Pulse
from mlops_assets.serving.page.shell import Shell
from mlops_assets.serving.page.verdicts import verdicts
from mlops_assets.serving.requests.clock import ServerClock
from mlops_assets.serving.requests.http import Answer
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.serving.routing.counts import Tally
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.serving.routing.lanes import Answerer
from mlops_assets_tests.houses import HOUSES
from mlops_assets_tests.serving.loans import Running
from mlops_assets_tests.serving.page.shop import INFER, SCRIPT, Shop
from mlops_assets_tests.started import until

ROW = {"price": 20.5, "rooms": 3, "street": "high", "town": "bath"}
LIVE, FORM, TRACE = (f"/v2/models/houses/{name}" for name in ("live", "form", "trace"))


def get(endpoint: Running, path: str, **headers: str):
    with closing(endpoint.connect()) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()


def told(endpoint: Running, path: str):
    status, _, body = get(endpoint, path)
    assert status == 200, body
    return json.loads(body)


@pytest.mark.parametrize("name", ["home", "trace"])
def test_a_page_needs_nothing_beside_it(name: str):
    answer = Shell(name, "<b>houses").answer()  # type: ignore[arg-type]

    body, headers = answer.body.decode(), dict(answer.headers)
    policy = headers[b"content-security-policy"].decode()
    assert not re.findall(r"(?:src|href)=\"(?!data:|/|#)[^\"]*", body)
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", body)
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "<b>houses" not in body
    assert "[[" not in body


def test_the_figures_say_who_answers_what_and_how_fast(served: tuple[Shop, Running]):
    _, endpoint = served
    before = told(endpoint, LIVE)
    for _ in range(5):
        endpoint.post(INFER, ROW)
    endpoint.post(INFER, {})
    live = until(lambda: (now := told(endpoint, LIVE))["recent"]["refused"] > before["recent"]["refused"] and now)

    [champion] = live["segments"][0]["variants"]
    earlier = before["segments"][0]["variants"][0]["requests"]
    assert (champion["variant"], champion["share"], champion["requests"]) == ("champion", 1.0, earlier + 5)
    assert champion["p50_us"] > 0
    assert live["recent"]["per_s"] > 0
    assert len(live["recent"]["rate"]) == len(live["recent"]["p99_us"])
    assert [each["state"] for each in live["drift"]] == ["ok", "drift"]
    assert (live["deployment"], live["wanted"]) == (json.loads(endpoint.get("/v2"))["deployment"], None)
    assert [worker["here"] for worker in live["workers"]] == [True]


def test_the_form_has_every_field_with_what_is_right_and_usual(served: tuple[Shop, Running]):
    _, endpoint = served

    fields = {each["name"]: each for each in told(endpoint, FORM)["segments"]["bath"]}

    assert {name: each["role"] for name, each in fields.items()} == {
        **{"town": "segment", "id": "key"},
        **dict.fromkeys(("price", "rooms", "street"), "input"),
    }
    assert 0 < fields["price"]["usual"] < 100
    assert isinstance(fields["rooms"]["usual"], int)
    assert SCRIPT in fields["street"]["choices"]
    usual = {name: each["usual"] for name, each in fields.items() if each["usual"] is not None}
    assert endpoint.post(INFER, usual).status == 200
    described = json.loads(get(endpoint, "/openapi.json")[2])
    content = described["paths"][INFER]["post"]["requestBody"]["content"]["application/json"]
    row = content["examples"]["row"]["value"]
    assert {**usual, **row} == {**row, **{name: value for name, value in usual.items() if name != "town"}}


def test_a_prediction_is_proven_back_to_its_rows(served: tuple[Shop, Running]):
    _, endpoint = served
    id_ = endpoint.post(INFER, ROW).body["inference_id"]

    proof = told(endpoint, f"{TRACE}/{id_}")
    version = told(endpoint, f"{TRACE}/houses@1")

    stages = [column["stage"] for column in proof["ancestry"]["columns"]]
    ids = {node["id"] for column in proof["ancestry"]["columns"] for node in column["nodes"]}
    assert (proof["verdict"], proof["proof"]["prediction"]["id"]) == ("proven", id_)
    assert stages == ["source", "annotations", "dataset", "features", "model", "endpoint", "prediction"]
    assert {end for edge in proof["ancestry"]["edges"] for end in edge} == ids
    assert (version["verdict"], version["proof"]["model"]["version"]) == ("proven", "houses@1")


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("01a1fe29-3948-7005-a2cc-29250a79f968", "no prediction '01a1fe29-3948-7005-a2cc-29250a79f968'"),
        ("houses@77", "no version 'houses@77' in the ledger; known versions: 1"),
        ("nonsense", "'nonsense' names no prediction and no version of houses; right is an inference id"),
        ("loans@1", "'loans@1' names no prediction and no version of houses"),
        ("0" * 64, "names no prediction and no version of houses"),
    ],
)
def test_what_nobody_knows_is_a_404_with_words(served: tuple[Shop, Running], ref: str, said: str):
    _, endpoint = served

    status, _, body = get(endpoint, f"{TRACE}/{ref}")

    assert (status, said in json.loads(body)["error"]) == (404, True), body


def test_the_page_of_a_trace_is_no_page_for_what_can_be_none(served: tuple[Shop, Running]):
    _, endpoint = served

    assert get(endpoint, "/trace/houses@1")[0] == 200
    assert get(endpoint, "/trace/nonsense")[0] == 404


def test_a_changed_byte_is_told_as_broken(served: tuple[Shop, Running]):
    found, endpoint = served
    id_ = endpoint.post(INFER, ROW).body["inference_id"]
    record = told(endpoint, f"{TRACE}/{id_}")["proof"]["data"][0]["record"]
    held = found.archive.held(record)
    path = found.settings.home / held.envelope.files[0].address
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))

    proof = told(endpoint, f"{TRACE}/{id_}")

    path.write_bytes(whole)
    nodes = {node["id"]: node for column in proof["ancestry"]["columns"] for node in column["nodes"]}
    assert proof["verdict"] == "broken"
    assert path.name in nodes[record]["problem"]


def test_with_the_store_away_there_are_no_verdicts_and_no_usual_values(served: tuple[Shop, Running]):
    found, endpoint = served
    deployment = read_deployment(found.settings.serving("houses"))
    there = (verdicts(found.archive, found.product), usual_values(found.archive, deployment))
    records, away = found.settings.home / "records", found.settings.home / "away"
    shutil.move(records, away)
    try:
        gone = (verdicts(found.archive, found.product), usual_values(found.archive, deployment))
        live = told(endpoint, LIVE)
        proof = get(endpoint, f"{TRACE}/houses@1")[2]
    finally:
        shutil.move(away, records)

    assert all(there)
    assert gone == (None, {"bath": {}, "york": {}})
    assert live["ready"]
    assert json.loads(proof)["verdict"] == "broken"


def test_a_second_trace_at_once_is_told_to_come_again():
    began, end = threading.Event(), threading.Event()

    def slow(ref: str) -> bytes:
        began.set()
        end.wait(60)
        return b"{}"

    async def both() -> tuple[Answer, Refused]:
        page = Page(
            HOUSES,
            Path(),
            Path(),
            writer="w",
            clock=ServerClock(),
            inference=None,
            metrics=None,
            seen=None,
            tracer=slow,
        )  # type: ignore[arg-type]
        handler = page.ways()[f"{TRACE}/*"].handler
        first = asyncio.create_task(handler({"path": f"{TRACE}/houses@1"}, b"", 0))
        await asyncio.to_thread(began.wait, 60)
        with pytest.raises(Refused) as refused:
            await handler({"path": f"{TRACE}/houses@1"}, b"", 0)
        end.set()
        return await first, refused.value

    answer, refused = asyncio.run(both())

    assert (answer.status, refused.status) == (200, 429)
    assert refused.headers == ((b"retry-after", b"1"),)


def by(variant: str = "champion") -> Answerer:
    return Answerer(segment="all", version=1, model=None, tally=Tally("binary"), variant=variant)  # type: ignore[arg-type]


def test_a_second_has_what_happened_in_it_and_nothing_of_a_shadow():
    pulse, champion, shadow = Pulse(), by(), by("shadow")
    pulse.take(10.0, [champion, shadow], {2: 5, 4: 0, 5: 0})
    for us in (100, 200, 300):
        champion.tally.answered(us, [])
        shadow.tally.answered(9_000, [])

    pulse.take(12.0, [champion, shadow], {2: 8, 4: 1, 5: 0})
    found = pulse.recent()

    assert (found.rate, found.errors, found.per_s, found.refused) == ([1.5], [0.5], 1.5, 1)
    assert 200 <= (found.p50_us[0] or 0) < 230
    assert 300 <= (found.minute_p99_us or 0) < 340


def test_a_version_that_was_replaced_counts_until_its_end():
    pulse, old, new = Pulse(), by(), by()
    pulse.take(0.0, [old], {})
    old.tally.answered(100, [])
    new.tally.answered(100, [])

    pulse.take(1.0, [new], {2: 2})
    pulse.take(2.0, [new], {2: 2})

    assert pulse.recent().rate == [2.0, 0.0]
    assert pulse.recent().p50_us[1] is None
    assert list(pulse._latency) == [new]


def test_only_the_last_minutes_are_kept():
    pulse = Pulse()
    for second in range(3 * SPAN):
        pulse.take(float(second), [], {2: second})

    assert len(pulse.recent().rate) == SPAN
    assert pulse.recent().per_s == 1.0


def test_a_long_column_is_drawn_with_its_newest_and_all_that_is_broken():
    walked = Walk()
    place = Place(product="houses", stage="features", partition="")
    for day in range(1, 30):
        record = Record(
            recipe="",
            place=msgspec.structs.replace(place, partition=f"bath|2026-01-{day:02}"),
            inputs=[],
            outputs=[Output(name="rows", root="", rows=9)],
            code=Code(id=""),
        )
        file = File(name="rows", address=f"objects/{day}.parquet", sha256="", size=1)
        envelope = Envelope(record="", files=[file], at="", host="", run_id=None, duration_s="")
        walked.records[f"{day:02}"] = Held(id=f"{day:02}", record=record, envelope=envelope)
    walked.broken.append("/home/objects/7.parquet: changed")

    [column] = ancestry(Proof(ref="", kind="", walked=walked)).columns

    assert [node.id for node in column.nodes] == ["07", "29", "28", "27", "26", "features/more"]
    assert (column.nodes[0].problem, column.nodes[-1].more) == ("/home/objects/7.parquet: changed", 24)
