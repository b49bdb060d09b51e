"""Acts over HTTP at a running endpoint: who may, what they do, and what the ledger has of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.ledger import Act, stamp
from mlops_assets.evidence.records import canonical
from mlops_assets.serving.access.keys import add_key, file_of, read_entries
from mlops_assets.serving.ramp.acts import deploy
from mlops_assets.settings import Settings
from mlops_assets_tests.houses import HOUSES
from mlops_assets_tests.serving.guarded import Guarded, guarded
from mlops_assets_tests.serving.ramp.trial import acts, prepared
from mlops_assets_tests.signers import signers
from mlops_assets_tests.started import until

MODEL = "/v2/models/houses"
ROW = {"price": 40.0, "rooms": 3, "street": "high", "town": "bath"}
JSON = {"content_type": "application/json"}
TRAFFIC = {"variant": "split", "version": 2, "percent": 50, "segment": "bath", "reason": "try it"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Bath with the champion 1 and the candidate 2, which waits for the role risk; York with the champion 3."""
    made = prepared(tmp_path_factory.mktemp("made"))
    ledger = Archive(made.home).ledger
    known = ledger.version("houses", 2)
    assert known is not None
    ledger.add(msgspec.structs.replace(known, kind="wait", by="gate", reason="waits for risk"))
    deploy(made, HOUSES)
    return made


@pytest.fixture(scope="module")
def endpoint(settings: Settings) -> Iterator[Guarded]:
    env = {"MLOPS_ASSETS_DEFS": str(settings.defs)}
    with guarded(settings, env=env, houses=True) as found:
        yield found


@pytest.fixture(scope="module")
def operator(settings: Settings, endpoint: Guarded) -> dict[str, str]:
    return {**known(settings, endpoint, "ops", "operate"), **JSON}


def known(settings: Settings, endpoint: Guarded, name: str, act: str) -> dict[str, str]:
    """A new key, once the endpoint has heard of it."""
    file = file_of(settings.access_folder, "houses")
    made = add_key(file, name, [act], None, datetime.now(UTC))
    count = len(read_entries(file) or [])
    until(lambda: any(line["count"] == count for line in endpoint.lines("names")), within_s=10)
    return {"authorization": f"Bearer {made}"}


def test_without_a_key_nobody_acts_even_where_anybody_may_ask(settings, endpoint):
    before = len(acts(settings))

    refused = endpoint.post(f"{MODEL}/rollback", {"reason": "bad"}, **JSON)

    assert refused.status == 403
    assert "needs a key that may operate" in refused.body["error"]
    assert "make one: mlops-assets access houses add NAME --can operate" in refused.body["error"]
    assert len(acts(settings)) == before


def test_a_signed_statement_approves_whoever_sends_it(settings, endpoint):
    people = signers(settings.home / "keys", settings.defs)
    headers = {**known(settings, endpoint, "portal", "approve"), **JSON}
    version, now = Archive(settings.home).ledger.version("houses", 2), datetime.now(UTC)
    assert version is not None
    facts = {"role": "risk", "until": stamp(now + timedelta(days=2))}
    plain = Act(
        kind="approve",
        product="houses",
        segment="bath",
        version=2,
        record=version.record,
        by="kim",
        reason="seen",
        at=stamp(now),
        facts=facts,
    )
    signed = canonical(people.signed(plain)).decode()

    forged = endpoint.post(f"{MODEL}/approve", {"version": 2, "statement": signed.replace("seen", "unseen")}, **headers)
    approved = endpoint.post(f"{MODEL}/approve", {"version": 2, "statement": signed}, **headers)

    assert forged.status == 422
    assert "the statement is not signed by the key that it names" in forged.body["error"]
    assert approved.status == 200, approved.body
    assert approved.body["done"][0] == "houses@2: kim agrees (seen)"
    assert [act.by for act in acts(settings, "approve")] == ["kim"]


def test_traffic_is_given_and_taken_and_the_ledger_says_by_whom(settings, endpoint, operator):
    given = endpoint.post(f"{MODEL}/traffic", TRAFFIC, **operator)
    taken = endpoint.post(f"{MODEL}/traffic", {"withdraw": True, "segment": "bath", "reason": "enough"}, **operator)

    assert (given.status, taken.status) == (200, 200), (given.body, taken.body)
    assert given.body["done"][0].startswith("houses[bath]: version 2 answers 50% as split")
    assert [(act.kind, act.version, act.by, act.reason) for act in acts(settings, "traffic", "withdraw")][-2:] == [
        ("traffic", 2, "key:ops", "try it"),
        ("withdraw", 2, "key:ops", "enough"),
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("traffic", {**TRAFFIC, "version": 9}, 404, "9"),
        ("traffic", {**TRAFFIC, "percent": 120}, 422, "percent"),
        ("traffic", {**TRAFFIC, "variant": None}, 422, '"variant": "canary"'),
        ("traffic", {**TRAFFIC, "reason": ""}, 422, "reason"),
        ("rollback", {"to": 1}, 422, "missing required field `reason`"),
        ("rollback", {"reason": "bad", "to": 9}, 404, "nothing to roll back to"),
        ("rollback", {"reason": "bad", "segment": "rome"}, 404, "rome"),
        ("rollback", {"reason": "bad", "by": "me"}, 422, "unknown field `by`"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(settings, endpoint, operator, path, body, status, said):
    before = len(acts(settings))

    refused = endpoint.post(f"{MODEL}/{path}", body, **operator)

    assert (refused.status, said in refused.body["error"]) == (status, True), refused.body
    assert len(acts(settings)) == before


def test_a_page_in_a_browser_cannot_act_on_its_own(endpoint, operator):
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert endpoint.post(f"{MODEL}/rollback", {"reason": "bad"}, **{**operator, "content_type": kind}).status == 415


def test_who_may_only_read_does_not_act(settings, endpoint):
    headers = {**known(settings, endpoint, "board", "read"), **JSON}

    assert endpoint.post(f"{MODEL}/rollback", {"reason": "bad"}, **headers).status == 403


def test_a_rollback_serves_the_champion_before_at_once(settings, endpoint, operator):
    archive = Archive(settings.home)
    version, first = archive.ledger.version("houses", 2), archive.ledger.champion("houses", "bath")
    assert version is not None
    assert first is not None
    archive.ledger.move_champion(msgspec.structs.replace(version, kind="promote", by="gate"), expected=first.version)
    deploy(settings, HOUSES)
    headers = known(settings, endpoint, "caller", "predict")
    until(lambda: endpoint.post(f"{MODEL}/infer", ROW, **headers).headers["mlops-model-version"] == "2")

    done = endpoint.post(f"{MODEL}/rollback", {"reason": "complaints", "segment": "bath"}, **operator)

    until(lambda: endpoint.post(f"{MODEL}/infer", ROW, **headers).headers["mlops-model-version"] == "1", within_s=10)
    [act] = acts(settings, "rollback")
    assert done.status == 200
    assert (act.version, act.by, act.reason) == (1, "key:ops", "complaints")
