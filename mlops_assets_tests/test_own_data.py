"""A user's own file: declared, made, served, asked and proven; and one flipped byte is found wherever it is."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl
import pytest

from mlops_assets.cli import main
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.records import Place, canonical, digest
from mlops_assets.evidence.store import replace
from mlops_assets.serving.log.ids import parse
from mlops_assets_tests.deployment import Deployment

ELECTRICITY = Path(__file__).parents[1].parent / "shared" / "data" / "electricity" / "electricity.csv"
HALF_HOUR = {
    "day_of_week": 2,
    "period_of_day": 0.75,
    "nsw_price": 0.06,
    "nsw_demand": 0.44,
    "vic_price": 0.003,
    "vic_demand": 0.42,
    "transfer": 0.41,
}
FEATURES = """\
\"\"\"What a flat's price goes by.\"\"\"

import polars as pl


def per_room(rows: pl.LazyFrame) -> pl.LazyFrame:
    \"\"\"Return the price per room, and the quarter.\"\"\"
    return rows.select("quarter", per_room=pl.col("price") / pl.col("rooms"))
"""


@dataclass(frozen=True, kw_only=True)
class Proven:
    """A deployment with one prediction, whose trace is a proof."""

    deployment: Deployment
    prediction: str

    @property
    def home(self) -> Path:
        return self.deployment.home


@pytest.fixture(scope="module")
def flats(tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """300 flats without time, key or segments; sold is what costs less than 300 a room.

    Version 1 knows price and quarter, version 2 a function of the row.
    """
    deployment = Deployment(folder=tmp_path_factory.mktemp("flats"))
    n = pl.int_range(300, eager=True)
    price, rooms = 500 + n * 37 % 1_501, 1 + n % 5
    quarter = pl.Series(["east", "west", "north"] * 100)
    frame = pl.DataFrame({"price": price, "rooms": rooms, "quarter": quarter, "sold": (price / rooms < 300).cast(int)})
    frame.write_parquet(deployment.folder / "flats.parquet")
    (deployment.folder / "flat_features.py").write_text(FEATURES)
    deployment.run("init", "flats", "flats.parquet", "--label", "sold")
    for features in ("[price, quarter]", "flat_features.per_room"):
        declare(deployment, features)
        deployment.run("backfill", "flats")
    with deployment.serving("flats") as endpoint:
        status, headers, _ = endpoint.infer({"price": 900, "rooms": 5, "quarter": "west"})
    assert status == 200
    return Proven(deployment=deployment, prediction=headers["mlops-inference-id"])


@pytest.fixture
def traced(flats: Proven, monkeypatch: pytest.MonkeyPatch) -> Proven:
    """The flats, for traces in this process."""
    for name, value in flats.deployment.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(flats.deployment.folder))
    return flats


def declare(deployment: Deployment, features: str) -> None:
    declaration = deployment.folder / "defs" / "flats" / "defs.yaml"
    line = re.compile(r"^  features: .*(\n  decide: .*)?$", re.MULTILINE)
    told = f"  features: {features}\n  decide: {{threshold: 0.7}}"
    declaration.write_text(line.sub(told, declaration.read_text()))


@contextmanager
def flipped(path: Path) -> Iterator[None]:
    """Hold one bit of the byte in the middle of a file the other way round."""
    data = path.read_bytes()
    at = len(data) // 2
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    try:
        yield
    finally:
        path.write_bytes(data)


def files(proven: Proven) -> Iterator[tuple[str, Path]]:
    """Yield every file that the proof of a prediction rests on, with its kind."""
    archive = Archive(proven.home)
    waiting = [proven.deployment.json("trace", proven.prediction)["model"]["record"]]
    waiting += [head for stage in ("endpoint",) for head in archive.heads("flats", stage).values()]
    yield from (("ledger", proven.home / "ledger.jsonl"), ("journal", proven.home / "journal.jsonl"))
    while waiting:
        record = waiting.pop()
        held = archive.held(record)
        waiting += [each.record for each in held.record.inputs]
        pointer = proven.home / "records" / record[:2] / f"{record}.envelope"
        envelope = pointer.read_text()
        yield f"{held.record.place.stage} record", pointer.with_suffix("")
        yield f"{held.record.place.stage} pointer", pointer
        yield f"{held.record.place.stage} envelope", proven.home / "envelopes" / envelope[:2] / envelope
        yield from (
            (f"{held.record.place.stage} {file.name}", proven.home / file.address) for file in held.envelope.files
        )


def _holds(log: Path, proven: Proven) -> bool:
    return parse(proven.prediction).request in log.read_bytes()


def test_a_function_of_the_row_answers_in_the_endpoint_as_it_did_in_training(flats: Proven):
    row = {"price": 900, "rooms": 5, "quarter": "west"}

    with flats.deployment.serving("flats") as endpoint:
        sold = endpoint.infer(row)
        unsold = endpoint.infer({**row, "rooms": 1})
        wrong = endpoint.infer({**row, "rooms": "three"})
    proof = flats.deployment.json("trace", flats.prediction)

    assert sold[2]["output"] > 0.7 > unsold[2]["output"]
    assert (sold[2]["decision"], unsold[2]["decision"]) == (True, False)
    assert (proof["prediction"]["threshold"], proof["prediction"]["decision"]) == (0.7, True)
    assert "acted on (from 0.7)" in flats.deployment.run("trace", flats.prediction).stdout
    assert wrong[0] == 422
    assert "field 'rooms'" in str(wrong[2]["error"])
    assert proof["prediction"]["input"] == row
    assert proof["prediction"]["output"] == sold[2]["output"]


def test_the_proof_names_everything_the_prediction_rests_on(flats: Proven):
    proof = flats.deployment.json("trace", flats.prediction, "--verify")

    assert isinstance(proof, dict)
    assert set(proof) == {
        *("ref", "kind", "prediction", "model", "data", "labels", "checks", "approvals"),
        *("tombstones", "verified", "unverified", "broken"),
    }
    assert (proof["kind"], proof["verified"], proof["unverified"], proof["broken"]) == ("prediction", True, [], [])
    assert set(proof["prediction"]) >= {
        *("id", "at", "product", "segment", "input", "output", "variant", "model_version", "deployment"),
    }
    assert set(proof["model"]) >= {
        *("version", "record", "sha256", "mlflow_run_id", "trigger", "code", "params", "metrics"),
    }
    assert proof["model"]["version"] == "flats@2"
    assert set(proof["data"][0]) >= {"asset", "partition", "record", "uri", "sha256", "rows"}
    assert {each["asset"] for each in proof["data"]} == {"flats/source", "flats/dataset", "flats/features"}
    assert [(each["asset"], each["rows"]) for each in proof["labels"]] == [("flats/annotations", 300)]
    assert all(check["passed"] for check in proof["checks"])
    assert [approval["by"] for approval in proof["approvals"]] == ["gate"]


def test_one_flipped_byte_in_any_file_of_a_proof_is_exit_code_3_and_names_the_file(
    traced: Proven, capsys: pytest.CaptureFixture[str]
):
    found = dict(files(traced))
    command = ["--home", str(traced.home), "trace", traced.prediction, "--verify"]
    assert main(command) == 0
    capsys.readouterr()

    silent: list[str] = []
    for kind, path in found.items():
        with flipped(path):
            code = main(command)
        said = "".join(capsys.readouterr())
        if code != 3 or str(path) not in said:
            silent.append(f"{kind}: {path}: exit code {code}")

    assert not silent
    assert {"ledger", "journal", "model record", "model envelope", "model model", "model spec"} <= set(found)
    assert {"source rows", "source labels", "annotations labels", "dataset dataset", "features features"} <= set(found)
    assert {"dataset quarantine", "model holdout", "model reference", "endpoint record", "endpoint routes"} <= set(
        found
    )


def test_a_missing_file_is_broken_evidence_too(traced: Proven, capsys: pytest.CaptureFixture[str]):
    archive = Archive(traced.home)
    held = archive.head(Place(product="flats", stage="model", partition="all|all"))
    assert held is not None
    path = traced.home / held.file("model").address
    away = path.rename(path.with_suffix(".away"))

    code = main(["trace", traced.prediction])

    away.rename(path)
    assert code == 3
    assert f"{path}: missing" in capsys.readouterr().out


def test_an_envelope_that_the_journal_does_not_know_proves_nothing(traced: Proven, capsys: pytest.CaptureFixture[str]):
    archive = Archive(traced.home)
    held = archive.head(Place(product="flats", stage="model", partition="all|all"))
    assert held is not None
    forged = canonical(msgspec.structs.replace(held.envelope, host="elsewhere"))
    pointer = traced.home / "records" / held.id[:2] / f"{held.id}.envelope"
    envelope = traced.home / "envelopes" / digest(forged)[:2] / digest(forged)
    before = pointer.read_bytes()
    replace(envelope, forged)
    pointer.write_bytes(digest(forged).encode())

    code = main(["trace", traced.prediction])

    pointer.write_bytes(before)
    envelope.unlink()
    assert code == 3
    assert f"journal.jsonl: flats/model[all|all]: the envelope of record {held.id[:12]}" in capsys.readouterr().out


def test_a_damaged_log_is_broken_evidence_while_the_prediction_is_only_there(
    traced: Proven, capsys: pytest.CaptureFixture[str]
):
    [log] = [path for path in (traced.home / "serving" / "flats" / "log").glob("*/*.log") if _holds(path, traced)]

    with flipped(log):
        code = main(["trace", traced.prediction])

    assert code == 3
    assert f"{log}: damaged" in capsys.readouterr().err


def test_without_time_the_proof_is_partly_done_and_names_what_was_not_read(
    traced: Proven, capsys: pytest.CaptureFixture[str]
):
    code = main(["trace", traced.prediction, "--budget", "0s"])

    said = capsys.readouterr().out
    tables = {path for kind, path in files(traced) if path.suffix == ".parquet"}
    assert code == 2
    assert "partly" in said
    assert tables
    assert [path for path in tables if str(path) not in said] == []


def test_new_features_are_gated_against_the_champion_with_its_own(flats: Proven):
    [first, second] = Archive(flats.home).ledger.acts("flats", "promote")

    assert (first.version, second.version) == (1, 2)
    assert "there is no champion yet" in first.reason
    assert re.search(r"against the champion's 0\.\d+: better by 0\.\d+", second.reason)


def test_a_champion_whose_function_is_gone_stays_and_the_backfill_says_why(flats: Proven, tmp_path: Path):
    copy = Deployment(folder=tmp_path / "copy")
    shutil.copytree(flats.deployment.folder, copy.folder)
    (copy.folder / "flat_features.py").write_text(FEATURES.replace("per_room", "a_room"))
    declare(copy, "flat_features.a_room")

    said = copy.run("backfill", "flats").stdout

    assert (
        "refuse: the champion's scores on the held-out rows are missing: no function 'flat_features.per_room'" in said
    )
    champion = Archive(copy.home).ledger.champion("flats", "all")
    assert champion is not None
    assert champion.version == 2


def test_a_backfill_that_has_nothing_to_do_does_nothing(flats: Proven):
    before = (flats.home / "journal.jsonl").read_bytes(), (flats.home / "ledger.jsonl").read_bytes()

    listed = flats.deployment.run("backfill", "flats", "--dry-run").stdout
    said = flats.deployment.run("backfill", "flats").stdout

    assert listed == "0 data and 0 model runs to make; nothing was run\n"
    assert said == "flats: everything is up to date (1 partitions)\n"
    assert ((flats.home / "journal.jsonl").read_bytes(), (flats.home / "ledger.jsonl").read_bytes()) == before


@pytest.mark.slow
def test_the_real_electricity_market_from_file_to_proof(tmp_path: Path):
    if not ELECTRICITY.exists():
        pytest.skip(f"no {ELECTRICITY}: 45,312 half-hours of the New South Wales market (Harries, 1999)")
    deployment = Deployment(folder=tmp_path)

    deployment.run("init", "electricity", str(ELECTRICITY), "--label", "price_up", "--time", "interval_start")
    listed = deployment.run("backfill", "electricity", "--dry-run").stdout
    made = deployment.run("backfill", "electricity").stdout
    again = deployment.run("backfill", "electricity").stdout
    with deployment.serving("electricity") as endpoint:
        status, headers, body = endpoint.infer(HALF_HOUR)
    proof = deployment.json("trace", headers["mlops-inference-id"], "--verify")

    declaration = (tmp_path / "defs" / "electricity" / "defs.yaml").read_text()
    assert len(declaration.splitlines()) < 20
    assert "windows: {every: month, start: 1996-05-01, end: 1999-01-01}" in declaration
    assert "monitor: {every: day}" in declaration
    assert listed.splitlines()[-1] == "32 data and 1 model runs to make; nothing was run"
    assert made.splitlines()[-1] == again.strip() == "electricity: everything is up to date (32 partitions)"
    assert status == 200
    assert 0 <= body["output"] <= 1
    assert proof["prediction"]["input"] == HALF_HOUR
    rows = [each["rows"] for each in proof["labels"]]
    assert (proof["verified"], rows) == (True, [1_488, 1_440, 288])
