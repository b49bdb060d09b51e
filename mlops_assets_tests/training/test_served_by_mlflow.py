"""`mlflow models serve` on a registered version answers with the numbers of the endpoint's own predictor."""

import os
import re
import subprocess
import sys
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from mlops_assets.evidence.archive import Archive
from mlops_assets.product import Stage
from mlops_assets.training.model import decode_spec
from mlops_assets.training.predictor import Predictor
from mlops_assets.training.report import report
from mlops_assets.training.shown import example_inputs, shown
from mlops_assets.training.tracking import MlflowTracker
from mlops_assets_tests.houses import HOUSES, WEEKS, deployment, make, partitions, sales
from mlops_assets_tests.started import until

WITHIN_S = 240.0


class Answer(msgspec.Struct):
    """What `/invocations` answers."""

    predictions: list[float]


@contextmanager
def served(tracker: MlflowTracker, model: str, said: Path) -> Iterator[str]:
    """Run `mlflow models serve` on a free port, and give its URL."""
    own = Path(sys.executable).parent  # where `mlflow` and `uvicorn` are
    env = {
        **os.environ,
        "PATH": f"{own}:{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": tracker.uri,
        "UVICORN_PORT": "0",
        "OMP_NUM_THREADS": "1",
    }
    command = [str(own / "mlflow"), "models", "serve", "-m", model, "--env-manager", "local", "--port", "0"]
    with said.open("wb") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out, cwd=said.parent)

    def url() -> str | None:
        assert process.poll() is None, said.read_text()
        found = re.search(r"Uvicorn running on (http://\S+)", said.read_text())
        return found[1] if found else None

    try:
        yield until(url, within_s=WITHIN_S, what="the server")
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.slow
def test_mlflow_serves_a_version_with_the_same_numbers(tracker: MlflowTracker, tmp_path: Path):
    settings = deployment(tmp_path, sales(2))
    partition = f"bath|{WEEKS[1]}"
    for each in partitions():
        make(settings, HOUSES, each)
    held = make(settings, HOUSES, partition, Stage.MODEL)[Stage.MODEL]
    archive = Archive(settings.home)
    run_id = tracker.client.create_run(tracker.experiment("served")).info.run_id
    told = report(archive, held, shown(archive, held, "auc"), run_id=run_id, tags={})
    tracker.log(run_id, told)
    version = tracker.register("served", run_id, record=held.id, segment="bath", window=WEEKS[1])
    spec = decode_spec(archive.data(held, "spec"))
    rows = example_inputs(archive, held, spec)
    expected = [score.output for score in Predictor(spec, archive.data(held, "model")).many(rows.rows())]

    with served(tracker, f"models:/served/{version}", tmp_path / "said.txt") as url:
        body = told.artifacts["model/serving_input_example.json"]
        request = urllib.request.Request(f"{url}/invocations", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = msgspec.json.decode(response.read(), type=Answer)

    assert answer.predictions == expected
    assert by_run(tracker, run_id) == expected


def by_run(tracker: MlflowTracker, run_id: str) -> list[float]:
    """What the model of a run answers to its own example."""
    import mlflow

    before = mlflow.get_tracking_uri()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what mlflow says about itself when it is imported
        from mlflow import pyfunc

        mlflow.set_tracking_uri(tracker.uri)
        try:
            model = pyfunc.load_model(f"runs:/{run_id}/model")
        finally:
            mlflow.set_tracking_uri(before)
    return model.predict(model.input_example).tolist()
