"""Keys at a running endpoint: who is let in, how soon a change counts, and what is kept of who asked."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from mlops_assets.cli import main
from mlops_assets.serving.access.keys import add_identity, add_key, file_of, remove
from mlops_assets.serving.log.outcomes import outcomes
from mlops_assets.settings import Settings
from mlops_assets_tests.serving.guarded import guarded
from mlops_assets_tests.serving.loans import INFER, OUTCOMES, ROW, deploy, route
from mlops_assets_tests.started import until

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OPEN = ("/v2/health/live", "/v2/health/ready", "/v2/models/loans/ready")
READ = ("/metrics", "/v2", "/v2/models/loans", "/openapi.json")


def key(settings: Settings, name: str, *acts: str) -> dict[str, str]:
    """The header with a new key."""
    made = add_key(file_of(settings.access_folder, "loans"), name, acts, None, NOW)
    return {"authorization": f"Bearer {made}"}


def test_only_health_is_open_and_each_key_opens_what_it_may(settings, first):
    champion = route(settings, first, 1)
    deploy(settings, "d1", {"eu": champion, "us": champion})
    reader, predictor = key(settings, "prometheus", "read"), key(settings, "checkout", "predict")
    with guarded(settings, host="0.0.0.0") as endpoint:
        health = [endpoint.get(path)[0] for path in OPEN]
        nobody = [endpoint.get(path)[0] for path in READ] + [endpoint.post(INFER, ROW).status]
        reads = [endpoint.get(path, **reader)[0] for path in READ] + [endpoint.post(INFER, ROW, **reader).status]
        answer = endpoint.post(INFER, ROW, **predictor)
        late = {"outcomes": [{"inference_id": answer.body["inference_id"], "label": 1}]}
        reported = endpoint.post(OUTCOMES, late, **predictor)
        counted = endpoint.figures(**reader)
        lines = endpoint.said.read_text()

    assert (health, nobody, reads) == ([200] * 3, [401] * 5, [200] * 4 + [403])
    assert (answer.status, reported.status) == (200, 200)
    assert (counted['mlops_not_let_in_total{reason="nobody"}'], "not_let_in" in lines) == (5, True)
    assert not any(each["authorization"][7:] in lines for each in (reader, predictor))
    folder = settings.serving("loans")
    [window] = [path.name for path in (folder / "outcomes").iterdir()]
    assert outcomes(folder, window)["by"].to_list() == ["key:checkout"]


def test_changes_count_in_a_running_endpoint_within_a_moment(settings, first):
    champion = route(settings, first, 1)
    deploy(settings, "d1", {"eu": champion, "us": champion})
    with guarded(settings) as endpoint:
        open_still = endpoint.post(INFER, ROW).status
        shown = key(settings, "checkout", "predict")
        closed = until(lambda: endpoint.post(INFER, ROW).status == 401, within_s=10)
        let_in = endpoint.post(INFER, ROW, **shown).status
        remove(file_of(settings.access_folder, "loans"), "checkout")
        removed = until(lambda: endpoint.post(INFER, ROW, **shown).status == 401, within_s=10)

    assert (open_still, closed, let_in, removed) == (200, True, 200, True)


def test_a_proxy_tells_who_asks(settings, first):
    champion = route(settings, first, 1)
    deploy(settings, "d1", {"eu": champion, "us": champion})
    add_identity(file_of(settings.access_folder, "loans"), "ann", ["predict"], None, NOW)
    told_in = {"MLOPS_ASSETS_PROXY_HEADER": "X-User"}
    with guarded(settings, env={**told_in, "MLOPS_ASSETS_PROXIES": "127.0.0.1"}) as endpoint:
        told = [endpoint.post(INFER, ROW, x_user=name).status for name in ("ann", "bob")]
    with guarded(settings, env={**told_in, "MLOPS_ASSETS_PROXIES": "10.0.0.1"}) as endpoint:
        stranger = endpoint.post(INFER, ROW, x_user="ann", x_forwarded_for="10.0.0.1").status

    assert (told, stranger) == ([200, 403], 401)


def test_an_open_host_without_a_key_is_refused_before_it_listens(settings):
    command = [sys.executable, "-m", "mlops_assets_tests.serving.guarded", str(settings.home), '{"host": "0.0.0.0"}']

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "mlops-assets access loans add NAME --can predict,read" in done.stderr
    assert done.stdout == ""


@pytest.fixture
def declared(tiny_product, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MLOPS_ASSETS_HOME", str(tiny_product.settings.home))
    monkeypatch.setenv("MLOPS_ASSETS_DEFS", str(tiny_product.settings.defs))
    return tiny_product.settings


def test_the_command_adds_lists_and_removes(declared, capsys: pytest.CaptureFixture[str]):
    assert main(["access", "tiny", "list"]) == 0
    assert main(["access", "tiny", "add", "checkout", "--can", "predict,read", "--until", "2099-12-31"]) == 0
    empty, made = capsys.readouterr().out.splitlines()
    assert main(["access", "tiny", "add", "*", "--can", "read", "--proxy"]) == 0
    assert main(["access", "tiny", "list"]) == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert main(["access", "tiny", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert main(["access", "tiny", "remove", "checkout"]) == 0
    assert main(["access", "tiny", "remove", "checkout"]) == 4
    assert main(["access", "tiny", "add", "x", "--can", "fly"]) == 1

    assert empty.startswith("tiny: nobody is named; without names an endpoint answers at 127.0.0.1 only")
    assert made.startswith("mlops_")
    assert first.startswith("checkout  ")
    assert first.endswith(f"  key, since {listed[0]['since']}, until 2100-01-01T00:00:00+00:00")
    assert second.startswith("* ")
    assert [each["name"] for each in listed] == ["checkout", "*"]
    assert made not in json.dumps(listed)
