"""The commands on a small deployment: what they answer, what they refuse, and with which exit code."""

import re
import shutil
import socket
from pathlib import Path

import polars as pl
import pytest
import yaml

from mlops_assets.cli import command_parser, main
from mlops_assets.evidence.archive import Archive
from mlops_assets.retraining.stored import Stored, store_decision
from mlops_assets_tests.deployment import Deployment

K8S = Path(__file__).resolve().parent.parent / "k8s"
WORKLOADS = ("Deployment", "StatefulSet")
FIRST, SECOND = "2026-01-05", "2026-01-12"
DECLARATION = """\
type: mlops_assets.ModelProduct
attributes:
  name: shop
  source: {path: shop.csv, time: seen}
  label: {column: bought}
  windows: {every: week, start: 2026-01-05, end: 2026-01-19}
  features: [price, rating]
  gate: {metric: auc, floor: 0.7}
"""
ROW = {"price": 0.9, "rating": 0.1}


def visits() -> pl.DataFrame:
    """Two weeks of 400 visits; in the first what is dear is bought, in the second what is well rated."""
    n = pl.int_range(800, eager=True)
    price, rating = n * 37 % 101 / 100, n * 59 % 103 / 102
    bought = pl.select(pl.when(n < 400).then(price > 0.5).otherwise(rating > 0.5).cast(pl.Int64)).to_series()
    seen = [f"2026-01-{5 + i // 400 * 7 + i % 400 // 60:02}T{i % 24:02}:30:00Z" for i in range(800)]
    return pl.DataFrame({"seen": seen, "price": price, "rating": rating, "bought": bought})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A product whose first week is learnt: version 1 is the champion, and nothing is served."""
    deployment = Deployment(folder=tmp_path_factory.mktemp("shop"))
    (deployment.folder / "defs" / "shop").mkdir(parents=True)
    (deployment.folder / "defs" / "shop" / "defs.yaml").write_text(DECLARATION)
    visits().write_csv(deployment.folder / "shop.csv")
    deployment.run("backfill", "shop", "--windows", FIRST, "--stage", "model")
    return deployment


@pytest.fixture
def asked(shop: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """The shop, for commands that only read: they run in this process."""
    for name, value in shop.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(shop.folder)
    return shop


@pytest.fixture
def empty(tmp_path: Path) -> Deployment:
    """A deployment without products."""
    return Deployment(folder=tmp_path)


def test_status_says_who_serves_how_new_the_data_is_and_what_was_decided(shop: Deployment):
    [status] = shop.json("status")

    now = status.pop("now")
    [segment] = status.pop("segments")
    since = segment.pop("since")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*\+00:00", now)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*\+00:00", since)
    assert status == {"product": "shop", "error": None, "workers": [], "paused": None, "alerts": []}
    assert (segment.pop("drifts"), segment.pop("waits"), segment.pop("beside")) == (None, [], [])
    assert segment == {"segment": "all", "champion": 1, "newest_data": FIRST, "drift": None, "next": None}


def test_why_shows_the_stored_decisions_since_a_time(shop: Deployment, tmp_path: Path):
    copy = Deployment(folder=tmp_path / "copy")
    shutil.copytree(shop.folder, copy.folder)
    no = Stored(
        id="a" * 64,
        product="shop",
        segment="all",
        at="2026-01-20T00:00:00.000+00:00",
        decided_at="2026-01-20T00:00:00.000+00:00",
        retrain=False,
        target=None,
        reasons=["no open alarm"],
        alarms=[],
        trigger=None,
    )
    store_decision(copy.home, no)

    everything, later = copy.json("why", "shop"), copy.json("why", "shop", "--since", "2026-01-21")
    lines = copy.run("why", "shop").stdout

    assert everything["decisions"] == [{name: getattr(no, name) for name in no.__struct_fields__}]
    assert later["decisions"] == []
    assert lines == f"2026-01-20T00:00:00 all        {'no':22} no open alarm\n"


def test_a_champion_answers_and_its_predictions_are_listed(shop: Deployment):
    assert shop.json("predictions", "shop") == []

    with shop.serving("shop") as endpoint:
        answers = [endpoint.infer(ROW) for _ in range(3)]
        [newest] = shop.json("predictions", "shop", "--last", "1")
        [status] = shop.json("status", "shop")

    assert [code for code, _, _ in answers] == [200, 200, 200]
    assert set(newest) == {"inference_id", "at", "segment", "version", "variant", "output"}
    assert (newest["inference_id"], newest["version"]) == (answers[-1][1]["mlops-inference-id"], 1)
    assert newest["output"] == answers[-1][2]["output"]
    assert status["workers"] == [endpoint.url]
    assert len(shop.json("predictions", "shop")) == 3
    assert shop.json("predictions", "shop", "--since", "2100-01-01") == []


@pytest.mark.slow
def test_a_pause_blocks_promotion_and_a_rollback_makes_the_earlier_version_serve(shop: Deployment, tmp_path: Path):
    copy = Deployment(folder=tmp_path / "copy")
    shutil.copytree(shop.folder, copy.folder)
    ledger = Archive(copy.home).ledger

    with copy.serving("shop") as endpoint:
        paused = copy.run("pause", "shop", "--reason", "stocktaking").stdout
        again = copy.run("pause", "shop", "--reason", "stocktaking").stdout
        refused = copy.run("backfill", "shop", code=1).stdout
        while_paused = (copy.json("status", "shop")[0]["paused"], ledger.champion("shop", "all"))
        resumed = copy.run("resume", "shop", "--reason", "counted").stdout
        copy.run("backfill", "shop")
        promoted = endpoint.infer(ROW)
        rolled_back = copy.run("rollback", "shop", "--reason", "it sells nothing").stdout
        earlier = endpoint.infer(ROW)
        nothing = copy.run("rollback", "shop", "--to", "9", "--reason", "a typo", code=4).stderr

    assert (paused, resumed) == ("shop: paused; serving goes on (stocktaking)\n", "shop: resumed (counted)\n")
    assert "already paused" in again
    assert "shop is paused; mlops-assets resume shop" in refused
    assert while_paused[0] == "stocktaking"
    assert while_paused[1] is not None
    assert while_paused[1].version == 1
    assert [promoted[1]["mlops-model-version"], earlier[1]["mlops-model-version"]] == ["2", "1"]
    assert promoted[2]["output"] != earlier[2]["output"]
    first, at_once, in_dagster = rolled_back.splitlines()
    assert (first, in_dagster) == ("shop[all]: champion 2 -> 1 (it sells nothing)", "deployed")
    assert re.fullmatch(r"deployment [0-9a-f]{12}: every worker serves it within a moment", at_once)
    assert "no segment has had version 9" in nothing
    assert [act.kind for act in ledger.acts("shop", "promote", "rollback")] == ["promote", "promote", "rollback"]
    assert "(asserted)" in ledger.acts("shop", "rollback")[0].by


@pytest.mark.parametrize(
    "command",
    [
        ("status", "shpo"),
        ("why", "shpo"),
        ("predictions", "shpo"),
        ("backfill", "shpo"),
        ("serve", "shpo"),
        ("pause", "shpo", "--reason", "x"),
        ("resume", "shpo", "--reason", "x"),
        ("rollback", "shpo", "--reason", "x"),
    ],
)
def test_an_unknown_product_is_answered_with_the_known_ones(
    asked: Deployment, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
):
    code = main(command)

    assert (code, capsys.readouterr().err) == (4, "error: no product 'shpo'; known products: shop\n")


@pytest.mark.parametrize(
    ("command", "code", "problem"),
    [
        (("backfill", "shop", "--windows", "2027-01-04"), 4, f"windows with rows: {FIRST}...{SECOND}"),
        (("backfill", "shop", "--segments", "north"), 4, "no segment 'north'; known segments: all"),
        (("rollback", "shop", "--segment", "north", "--reason", "x"), 4, "no segment 'north'; known segments: all"),
        (("rollback", "shop", "--reason", "x"), 4, "nothing to roll back to"),
        (("trace", "shop@9"), 4, "no version 'shop@9' in the ledger"),
        (("trace", "shop/model"), 4, f"all|{FIRST}"),
        (("trace", "0" * 64), 4, "no record '0000"),
        (("trace", "01a1fe40-58c3-77ce-ace5-b3e97c5c2e1f"), 4, "no prediction '01a1fe40"),
        (("trace", "what"), 4, "right is an inference id, product@version, a record id, or product/stage[partition]"),
        (("trace", "shop@1", "--budget", "soon"), 1, "'soon' is no duration; right is a number and a unit"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    asked: Deployment, command: tuple[str, ...], code: int, problem: str, capsys: pytest.CaptureFixture[str]
):
    assert main(command) == code
    assert problem in capsys.readouterr().err


def test_a_broken_declaration_is_named_with_file_and_line_and_the_others_still_load(
    shop: Deployment, empty: Deployment
):
    for name, declaration in (("shop", DECLARATION), ("shed", DECLARATION.replace("windows:", "widows:"))):
        (empty.folder / "defs" / name).mkdir(parents=True)
        (empty.folder / "defs" / name / "defs.yaml").write_text(declaration)
    shutil.copy(shop.folder / "shop.csv", empty.folder)

    refused = empty.run("backfill", "shed", "--dry-run", code=1).stderr
    invalid = empty.run("validate", code=1).stderr
    listed = empty.run("status").stdout

    right = f"{empty.folder}/defs/shed/defs.yaml:6: attributes.widows: no such field; did you mean 'windows'?; known: "
    assert right in refused
    assert right in invalid
    assert "shop: not served" in listed
    assert f"shed: does not load\n  {right}" in listed


def test_a_wrong_column_is_named_with_file_and_line(shop: Deployment, empty: Deployment):
    (empty.folder / "defs" / "shop").mkdir(parents=True)
    (empty.folder / "defs" / "shop" / "defs.yaml").write_text(DECLARATION.replace("rating", "ratign"))
    shutil.copy(shop.folder / "shop.csv", empty.folder)

    refused = empty.run("validate", code=1).stderr

    assert f"{empty.folder}/defs/shop/defs.yaml:7: attributes.features" in refused
    assert "'ratign'" in refused
    assert "rating" in refused


def test_a_declaration_that_is_right_is_said_to_be(asked: Deployment, capsys: pytest.CaptureFixture[str]):
    assert main(["validate"]) == 0
    assert capsys.readouterr().out == "every declaration is right\n"


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (("mine", "shop.csv", "--label", "buoght"), 4, "--label: no column 'buoght' (did you mean 'bought'?)"),
        (("mine", "shop.csv", "--label", "bought", "--time", "price"), 1, "right is ISO 8601"),
        (("mine", "shop.csv", "--label", "bought", "--key", "price"), 1, "right is a column that never repeats"),
        (("My", "shop.csv", "--label", "bought"), 1, "'My' is no name; right are lower-case letters"),
        (("mine", "nothing.csv", "--label", "bought"), 1, "nothing.csv"),
        (("shop", "shop.csv", "--label", "bought"), 1, "defs.yaml is there already"),
    ],
)
def test_init_refuses_what_cannot_be_right(
    asked: Deployment, options: tuple[str, ...], code: int, problem: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["init", *options]) == code
    assert problem in capsys.readouterr().err
    assert [path.name for path in (asked.folder / "defs").iterdir()] == ["shop"]


def test_the_environment_of_dagsters_commands_is_quoted_for_the_shell(tmp_path: Path):
    deployment = Deployment(folder=tmp_path / "with a space")
    deployment.folder.mkdir()

    lines = deployment.run("env").stdout.splitlines()

    assert f"export DAGSTER_HOME='{deployment.home}/dagster'" in lines
    assert (deployment.home / "dagster" / "dagster.yaml").exists()


def test_a_first_candidate_below_the_floor_is_refused_with_the_reason(empty: Deployment):
    (empty.folder / "defs" / "shop").mkdir(parents=True)
    (empty.folder / "defs" / "shop" / "defs.yaml").write_text(DECLARATION.replace("floor: 0.7", "floor: 1.0"))
    visits().with_columns(bought=pl.int_range(pl.len()) * 31 % 7 % 2).write_csv(empty.folder / "shop.csv")

    said = empty.run("backfill", "shop", "--windows", SECOND, code=1).stdout

    assert re.search(r"failed: endpoint: shop has no champion yet: auc 0\.\d+ does not reach the floor 1", said)


def test_the_commands_of_the_manifests_are_commands():
    manifests = [document for path in sorted(K8S.rglob("*.yaml")) for document in yaml.safe_load_all(path.read_text())]
    pods = [found["spec"]["template"]["spec"] for found in manifests if found.get("kind") in WORKLOADS]
    commands = [container.get("command", []) for pod in pods for container in pod["containers"]]
    ours = [command[1:] for command in commands if command[:1] == ["mlops-assets"]]

    asked = [command_parser().parse_args(arguments) for arguments in ours]

    assert [(options.product, options.host, options.port) for options in asked] == [("loans", "0.0.0.0", 8080)]


@pytest.mark.parametrize("arguments", [[], ["fly"], ["trace"], ["init", "x"], ["backfill", "x", "--stage", "champion"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main(arguments)

    assert end.value.code == 2
    assert "usage: mlops-assets" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(asked: Deployment, capsys: pytest.CaptureFixture[str]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        code = main(["serve", "shop", "--port", str(port)])

    assert code == 1
    assert f"('127.0.0.1', {port})" in capsys.readouterr().err
