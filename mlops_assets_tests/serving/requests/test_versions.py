"""A request that names a version is answered by it while it is the champion; a canary is not to be picked."""

from mlops_assets.serving.routing.deploy import Beside, Deployment, write_deployment
from mlops_assets_tests.serving.loans import INFER, ROW, route, running

VERSION = "/v2/models/loans/versions"


def test_a_named_version_is_the_champion_also_where_a_canary_takes_everything(settings, first, second):
    canary = Beside(name="canary", route=route(settings, second, 2), share=1.0, salt="s")
    champion = route(settings, first, 1)
    deployment = Deployment(
        id="d", product="loans", at="2026-01-05", routes={"eu": champion, "us": champion}, beside={"eu": [canary]}
    )
    write_deployment(settings.serving("loans"), deployment)

    with running(settings) as endpoint:
        plain = endpoint.post(INFER, ROW)
        named = endpoint.post(f"{VERSION}/1/infer", ROW)
        several = endpoint.post(f"{VERSION}/1/infer", {"rows": [ROW, {**ROW, "region": "us"}]})
        picked = endpoint.post(f"{VERSION}/2/infer", ROW)

    assert (plain.body["model_version"], named.body["model_version"], several.body["model_version"]) == ("2", "1", "1")
    assert named.body["output"] != plain.body["output"]
    assert picked.status == 404
    assert picked.body["error"] == "no version '2' answers for segment 'eu'; right is 1"
