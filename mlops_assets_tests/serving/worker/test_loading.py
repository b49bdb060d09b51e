"""How a model gets into an endpoint: without pickle, and warm in every thread before anybody asks."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from mlops_assets.evidence.store import Store
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.serving.routing.router import Loader, empty_table
from mlops_assets.serving.worker.warm import warm_here, warm_there
from mlops_assets.training.fast import SingleRow
from mlops_assets_tests.serving.loans import LOANS, deploy, route

UNPICKLED = """
import sys
from pathlib import Path

def watch(event, arguments):
    if event == "pickle.find_class":
        raise SystemExit(f"unpickled {arguments}")

from mlops_assets.evidence.store import Store
from mlops_assets.serving.routing.deploy import read_deployment
from mlops_assets.serving.routing.router import Loader
from mlops_assets_tests.serving.loans import LOANS

import lightgbm  # what it imports may do as it likes; what is watched is the load of a model

sys.addaudithook(watch)
home = Path(sys.argv[1])
if sys.argv[2:]:
    import pickle
    pickle.loads(pickle.dumps(Path))
table = Loader(LOANS, Store(home)).table(read_deployment(home / "serving" / "loans"))
print(table.lane("eu").champion.model.predictor.one((40, 2500.5, "nurse")).output)
"""


def test_no_pickle_is_read_on_the_way_of_a_model(settings, first):
    deploy(settings, "d1", {"eu": route(settings, first, 1)})

    def ran(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", UNPICKLED, str(settings.home), *more]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    loaded, watched = ran(), ran("and a pickle")

    assert (loaded.returncode, 0 < float(loaded.stdout) < 1) == (0, True), loaded.stderr
    assert "unpickled" in watched.stderr  # so the watch sees one


def test_every_thread_that_will_answer_has_the_buffers_of_every_model(settings, first, second, monkeypatch):
    deploy(settings, "d1", {"eu": route(settings, first, 1), "us": route(settings, second, 2)})
    deployment = read_deployment(settings.serving("loans"))
    assert deployment is not None
    with ThreadPoolExecutor(1) as loading:  # as in the endpoint, where no thread that answers loads
        table = loading.submit(Loader(LOANS, Store(settings.home)).table, deployment).result()
    made: list[int] = []
    call = SingleRow.__call__

    def counted(self, features):
        if getattr(self._own, "buffers", None) is None:
            made.append(1)
        return call(self, features)

    monkeypatch.setattr(SingleRow, "__call__", counted)
    pool = ThreadPoolExecutor(3)

    warm_there(table, pool, 3)
    in_pool = len(made)
    warm_here(table, before=empty_table(LOANS))
    for each in (pool.submit(by.model.predictor.one, (40, 2500.5, "nurse")) for by in table.everyone):
        each.result()
    pool.shutdown()

    assert (in_pool, len(made)) == (6, 8)  # two models in three threads, and here; what is asked then makes none
