"""Approving from the command line, from Dagster's UI and by the retrain sensor; and what a forged approval is worth."""

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.alerting.waiting import waiting_alerts
from mlops_assets.cli import main
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.chain import Chain
from mlops_assets.evidence.records import Json
from mlops_assets.lineage.trace import trace
from mlops_assets.loop import Loop
from mlops_assets.operations.foreground import foreground
from mlops_assets.operations.status import status, validate
from mlops_assets.settings import Settings, exports, load_settings
from mlops_assets_tests import tiny
from mlops_assets_tests.intact import assert_finished
from mlops_assets_tests.signers import Signers, signers
from mlops_assets_tests.tiny import Tiny

DECLARED = "  approval: {roles: [business, risk], expires: 3d}\n"


@dataclass(frozen=True, kw_only=True)
class Shop:
    """`tiny`, whose candidates people have to agree to."""

    tiny: Tiny
    crowd: Signers

    def main(self, *arguments: str) -> int:
        return main(arguments)

    def job(self, **config: Json) -> str:
        """Launch `tiny_approve` as the UI does, and return what it failed of."""
        loop = foreground(self.tiny.settings)
        run_config = {"ops": {"tiny_answer": {"config": config}}}
        result = loop.definitions.resolve_job_def("tiny_approve").execute_in_process(
            instance=loop.instance, run_config=run_config, raise_on_error=False
        )
        failed = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
        return failed[0].message if failed and failed[0] else ""


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a shop with a first candidate that waits."""
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "DECLARATION", tiny.DECLARATION + DECLARED)
        made = tiny.declare(load_settings(home=folder / "home"), folder)
        for name, value in exports(made.settings).items():
            patch.setenv(name, value)
        signers(folder / "keys", made.settings.defs)
        assert main(["backfill", "tiny"]) == 0
    return folder


@pytest.fixture
def shop(waiting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A copy of it."""
    folder = tmp_path / "shop"
    shutil.copytree(waiting, folder)
    settings = replace(load_settings(home=folder / "home"), root=folder, defs=folder / "defs")
    for name, value in exports(settings).items():
        monkeypatch.setenv(name, value)
    product = tiny.read_catalogue(settings.defs).product("tiny")
    return Shop(
        tiny=Tiny(settings=settings, product=product), crowd=Signers(folder=folder / "keys", defs=settings.defs)
    )


def alerts(shop: Shop) -> list[str]:
    settings = shop.tiny.settings
    found = waiting_alerts(shop.tiny.product, settings, Archive(settings.home), datetime.now(UTC))
    return [f"{each.alert.kind}: {each.alert.words}" for each in found]


def served(settings: Settings) -> int | None:
    champion = Archive(settings.home).ledger.champion("tiny", "all")
    return champion.version if champion else None


def test_it_waits_without_an_error_and_everybody_sees_it(shop: Shop):
    settings = shop.tiny.settings

    [found] = status(settings, "tiny")

    words = "tiny@1 waits for business and risk to approve"
    assert found.segments[0].waits == [words]
    assert alerts(shop) == [f"a candidate waits for approval: {words}; mlops-assets approve, or reject"]
    assert served(settings) is None
    assert trace(settings, "tiny@1", budget_s=None).exit_code == 0


def test_the_last_approval_on_the_command_line_deploys(shop: Shop, capsys: pytest.CaptureFixture[str]):
    ana, kim = str(shop.crowd.key("ana")), str(shop.crowd.key("kim"))

    asserted = shop.main("approve", "tiny@1", "--role", "risk", "--reason", "fine")
    first = shop.main("approve", "tiny@1", "--reason", "sells well", "--key", ana)
    second = shop.main("approve", "tiny@1", "--reason", "safe", "--key", kim)
    late = shop.main("approve", "tiny@1", "--reason", "too", "--key", kim)
    unknown = shop.main("approve", "tiny@7", "--reason", "too", "--key", kim)

    assert (asserted, first, second, late, unknown) == (1, 0, 0, 1, 4)
    said = capsys.readouterr()
    assert "(asserted) fills no role: without --key FILE nothing proves who it is" in said.out
    assert "tiny@1: waits for risk to approve" in said.out
    assert "tiny[all]: champion 1, deployed" in said.out
    assert "tiny@1 cannot be approved: it was promoted at" in said.err
    assert "no version tiny@7; known versions: 1" in said.err
    assert_finished(shop.tiny.settings, shop.tiny.product)
    assert alerts(shop) == []


def test_a_rejection_is_for_good_and_leaves_no_run_failed(shop: Shop, capsys: pytest.CaptureFixture[str]):
    assert shop.main("reject", "tiny@1", "--reason", "not again") == 0
    assert shop.main("approve", "tiny@1", "--reason", "but", "--key", str(shop.crowd.key("kim"))) == 1

    said = capsys.readouterr()
    assert "tiny@1: refuse: rejected by " in said.out
    assert "tiny@1 cannot be approved: it was rejected by " in said.err
    assert alerts(shop) == []
    assert served(shop.tiny.settings) is None


def test_from_the_ui_a_pasted_statement_counts_and_the_retrain_sensor_deploys(
    shop: Shop, capsys: pytest.CaptureFixture[str]
):
    settings = shop.tiny.settings
    loop: Loop = foreground(settings)
    statements: list[str] = []
    for by in ("ana", "kim"):
        assert shop.main("approve", "tiny@1", "--reason", "seen", "--key", str(shop.crowd.key(by)), "--print") == 0
        statements.append(capsys.readouterr().out)

    nothing = shop.job(version=1, verdict="approve")
    asserted = shop.job(version=1, verdict="approve", role="risk", reason="from the UI")
    forged = shop.job(version=1, verdict="approve", statement=statements[0].replace("seen", "unseen"))
    quiet = loop.tick("tiny_retrain")
    pasted = [shop.job(version=1, verdict="approve", statement=each) for each in statements]
    before = served(settings)
    [ran] = loop.tick("tiny_retrain")

    assert "no reason; an answer says why" in nothing
    assert "the statement is not signed by the key that it names" in forged
    assert (asserted, quiet, pasted, before) == ("", [], ["", ""], None)
    assert (ran.job, ran.success, served(settings)) == ("tiny_decide", True, 1)
    assert loop.tick("tiny_retrain") == []
    approvals = trace(settings, "tiny@1", budget_s=None).approvals
    told = [(act.act, act.by.partition(" ")[2] or act.by, act.role, act.verified) for act in approvals]
    assert told == [
        ("approve", "(asserted)", "risk", False),
        ("approve", "ana", "business", True),
        ("approve", "kim", "risk", True),
        ("promote", "gate", None, None),
    ]


def rewritten(path: Path, *, drop: str = "", **changed: str) -> None:
    """Write the ledger anew with every hash as it should be: an approval changed, or that of `drop` left out."""
    bodies = [link.body for link in Chain(path).links()]
    path.unlink()
    chain = Chain(path)
    for body in bodies:
        if body["kind"] == "approve" and body["by"] == drop:
            continue
        mine = changed if body["kind"] == "approve" and body["by"] == "ana" else {}
        with chain.writing():
            chain.append({**body, **mine})


@pytest.mark.parametrize(
    ("drop", "changed", "problem"),
    [
        ("", {"reason": "never seen"}, "the approve act of ana on tiny@1 is not signed by the key that it names"),
        ("kim", {}, "was promoted on the approval "),
    ],
)
def test_a_forged_or_removed_approval_is_broken_evidence(
    shop: Shop, drop: str, changed: dict[str, str], problem: str, capsys: pytest.CaptureFixture[str]
):
    settings = shop.tiny.settings
    for by in ("ana", "kim"):
        assert shop.main("approve", "tiny@1", "--reason", "seen", "--key", str(shop.crowd.key(by))) == 0
    assert trace(settings, "tiny@1", budget_s=None).exit_code == 0

    rewritten(settings.home / "ledger.jsonl", drop=drop, **changed)

    assert shop.main("trace", "tiny@1") == 3
    said = capsys.readouterr().out
    assert f"{settings.home / 'ledger.jsonl'}:" in said
    assert problem in said


def test_a_broken_people_file_stops_nothing_but_nobody_counts(shop: Shop, capsys: pytest.CaptureFixture[str]):
    file = shop.tiny.settings.defs / "people.yaml"
    right = file.read_text()
    file.write_text(right.replace("roles", "rolls", 1))

    assert shop.main("approve", "tiny@1", "--reason", "seen", "--key", str(shop.crowd.key("ana"))) == 1
    assert f"{file}:2: people.ana.rolls: no such field; did you mean 'roles'?" in capsys.readouterr().err
    assert any(f"{file}:2: people.ana.rolls" in problem for problem in validate(shop.tiny.settings))
    assert foreground(shop.tiny.settings).run("tiny_decide", "all|2024-01-03").success
    file.write_text(right.replace("[risk]", "[]").replace("risk, ", "").replace(", risk", ""))
    [problem] = validate(shop.tiny.settings)
    assert "attributes.approval.roles: nobody in people.yaml has the role 'risk', so nothing can be promoted" in problem


def test_a_key_is_made_once_with_the_line_for_the_people_file(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    made = [shop.main("key", name, "--out", str(tmp_path / "new.key")) for name in ("zoe", "zoe")]
    wrong = shop.main("key", "Zoe Z", "--out", str(tmp_path / "other.key"))

    said = capsys.readouterr()
    assert (made, wrong) == ([0, 1], 1)
    line = said.out.splitlines()[0]
    assert line.startswith('  zoe: {key: "ed25519:')
    (tmp_path / "people.yaml").write_text("people:\n" + line.replace("[]", "[risk]"))
    assert "a key is never overwritten" in said.err
    assert "'Zoe Z' is no name" in said.err
