"""An endpoint that is asked without a pause while what answers is changed: nothing fails, is mixed up, lost or leaks.

CHAOS_SWAPS says how often the version is changed, CHAOS_ASKED how many requests a canary shares, CHAOS_SOAK_S for how
many seconds an endpoint is asked at half of what four clients get from it.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.operations.flow import step
from mlops_assets.product import DATA, Stage
from mlops_assets.serving.ramp.acts import set_traffic
from mlops_assets.serving.routing.deploy import read_deployment, wait_until_served
from mlops_assets.serving.steps import EndpointStep
from mlops_assets.settings import Settings, load_settings
from mlops_assets.training.fitting import Trained
from mlops_assets.training.predictor import Predictor
from mlops_assets_tests.asked import Load, Told, logged, promoted, registered, under_load
from mlops_assets_tests.serving.loans import INFER, deploy, fitted, route, running
from mlops_assets_tests.started import Started, endpoint, started, until
from mlops_assets_tests.tiny import DAY, NAME, START, Tiny, declare, rows

SWAPS = int(os.environ.get("CHAOS_SWAPS", "12"))
ASKED = int(os.environ.get("CHAOS_ASKED", "600"))
SOAK_S = float(os.environ.get("CHAOS_SOAK_S", "5"))
WITHIN_S = 60.0
SHARE = 0.2
CANARY = """\
  endpoint:
    sticky: id
    canary: {steps: [20%, 60%, 100%], hold: 1h, score_shift: 0.25, errors: 0.01}
"""
INFER_TINY = f"/v2/models/{NAME}/infer"
FLOOR_MIB = 6.0  # a process's memory is given out in pieces; this much is no slope yet

pytestmark = pytest.mark.chaos

APPLICANTS = [
    {"age": age, "salary": salary, "job": job}
    for age in (20, 40, 60)
    for salary in (1500.0, 2500.5, 4000.0)
    for job in ("clerk", "nurse", "smith")
]


@pytest.fixture(scope="module")
def models() -> tuple[Trained, Trained]:
    """Two models that say something else of most applicants."""
    return fitted(1), fitted(2)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path)


def applications() -> list[object]:
    """Single rows of both segments, and batches over both."""
    single = [{**row, "region": region, "id": place} for place, row in enumerate(APPLICANTS) for region in ("eu", "us")]
    batches = [{"rows": single[at : at + 5]} for at in range(0, len(single), 5)]
    return [*single, *batches]


def test_while_versions_are_swapped_no_request_fails_or_is_mixed_and_the_log_has_who_answered(
    settings: Settings, models: tuple[Trained, Trained]
):
    routes = [route(settings, models[version % 2], version) for version in range(SWAPS + 1)]
    folder, asked = settings.serving("loans"), applications()
    deploy(settings, "d0", {"eu": routes[0], "us": routes[0]})

    with running(settings) as process, under_load(process.url, INFER, asked) as load:
        for version in range(SWAPS + 1):
            deploy(settings, f"d{version}", {"eu": routes[version], "us": routes[version]})
            assert wait_until_served(folder, f"d{version}", WITHIN_S)
            until(partial(answers_with, load, version), what=f"version {version}")

    assert not load.failures
    assert {each.version for each in load.answers} == {str(version) for version in range(SWAPS + 1)}
    assert all(sorted(mine, key=lambda told: int(told.version)) == mine for mine in load.told)
    right = [scores(model) for model in models]
    for told in load.answers:  # a batch over both segments has one version too
        assert said(told) == [right[int(told.version) % 2][place] for place in places(asked[told.place])]
    assert_logged(load, folder)


def answers_with(load: Load, version: int) -> bool:
    return any(mine and mine[-1].version == str(version) for mine in load.told)


def scores(model: Trained) -> list[float]:
    predictor = Predictor(model.spec, model.model_bytes)
    return [predictor.one(tuple(row[name] for name in model.spec.inputs)).output for row in APPLICANTS]


def said(told: Told) -> list[object]:
    """The outputs of an answer, each by the version that the answer names."""
    found = told.said.get("predictions", [told.said])
    assert isinstance(found, list)
    assert {each["model_version"] for each in found} == {told.version}
    return [each["output"] for each in found]


def places(body: object) -> list[int]:
    assert isinstance(body, dict)
    return [row["id"] for row in body.get("rows", [body])]


def assert_logged(load: Load, folder: Path) -> None:
    """Every answer is in the log exactly once, with the version that gave it and what it said."""
    found = logged(folder).with_columns(request=pl.col("inference_id").str.head(36))
    held = {
        str(name): (set(map(str, group["version"])), group["output"].to_list())
        for (name,), group in found.sort("inference_id").group_by("request")
    }
    counted = Counter(each.id for each in load.answers)
    assert set(counted.values()) == {1}
    assert held == {each.id: ({each.version}, said(each)) for each in load.answers}
    assert not found["inference_id"].is_duplicated().any()


@pytest.fixture
def ramping(tmp_path: Path) -> Tiny:
    """`tiny` with a ramp: version 1 is champion, 2 says the same of most rows, 3 says yes to nearly all."""
    tiny = declare(load_settings(home=tmp_path / "home"), tmp_path)
    file = tiny.settings.defs / NAME / "defs.yaml"
    file.write_text(file.read_text() + CANARY)
    yes = rows(START + 4 * DAY, 1, seed=9).with_columns(good=(pl.col("width") + pl.col("height") > 0.35).cast(int))
    days = [rows(START, 3), rows(START + 3 * DAY, 1, seed=8), yes]
    pl.concat(days).write_csv(tmp_path / "tiny.csv", datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
    found = Tiny(settings=tiny.settings, product=read_catalogue(tiny.settings.defs).product(NAME))
    for version, day in enumerate((2, 3, 4), start=1):
        partition = f"all|{START + day * DAY:%Y-%m-%d}"
        made = [step(stage, found.product, found.settings).make(partition) for stage in (*DATA, Stage.MODEL)]
        (promoted if version == 1 else registered)(found.settings, made[-1], version)
    EndpointStep(product=found.product, archive=Archive(found.settings.home), settings=found.settings).make("all")
    return found


def share(tiny: Tiny, version: int, part: float) -> None:
    """Let a version answer a part of the requests, as a person would."""
    set_traffic(tiny.settings, tiny.product, "all", "canary", version, part, by="test", reason="test")


@pytest.fixture
def serving(ramping: Tiny) -> Iterator[Started]:
    with started(ramping.settings, "serve", NAME, "--port", "0") as run:
        until(lambda: endpoint(ramping.settings, NAME), what="an endpoint")
        yield run


def answered(tiny: Tiny, bodies: list[object], times: int = 1) -> list[Told]:
    """Ask until there are so many answers to each body, none of them a failure."""
    url = until(lambda: endpoint(tiny.settings, NAME), what="an endpoint")
    with under_load(url, INFER_TINY, bodies) as load:
        until(lambda: load.failures or has(load, bodies, times), what="answers")
    assert not load.failures
    return load.answers


def has(load: Load, bodies: list[object], times: int) -> bool:
    counted = Counter(told.place for told in load.answers)
    return len(counted) == len(bodies) and min(counted.values()) >= times


def houses(count: int, *, keyed: bool) -> list[object]:
    random = np.random.default_rng(count)
    width, height = random.uniform(size=(2, count)).round(4).tolist()
    keys = [{"id": f"k{at}"} if keyed else {} for at in range(count)]
    return [{"width": width[at], "height": height[at], **keys[at]} for at in range(count)]


def by_key(answers: list[Told]) -> dict[int, str]:
    """Which version answered each key; a key that two have answered flaps."""
    seen: dict[int, set[str]] = {}
    for told in answers:
        seen.setdefault(told.place, set()).add(told.version)
    assert all(len(each) == 1 for each in seen.values())
    return {place: version for place, (version,) in seen.items()}


def serves(tiny: Tiny, part: float) -> None:
    """Wait until every worker has the share that was asked for."""
    share(tiny, 2, part)
    head = Archive(tiny.settings.home).heads(NAME, Stage.ENDPOINT)
    assert wait_until_served(tiny.settings.serving(NAME), head["all"], WITHIN_S)


def test_a_canary_answers_its_share_and_a_key_stays_where_it_is_until_the_share_changes(ramping: Tiny):
    bodies = houses(ASKED, keyed=True)

    with started(ramping.settings, "serve", NAME, "--port", "0"):
        until(lambda: endpoint(ramping.settings, NAME), what="an endpoint")
        serves(ramping, SHARE)
        first = by_key(answered(ramping, bodies, 2))
        anybody = Counter(told.version for told in answered(ramping, houses(50, keyed=False), ASKED // 50))
    with started(ramping.settings, "serve", NAME, "--port", "0"):  # a restart changes nothing
        again = by_key(answered(ramping, bodies))
        serves(ramping, 0.6)
        more = by_key(answered(ramping, bodies))

    low, high = binom.interval(0.999, ASKED, SHARE)
    assert low <= Counter(first.values())["2"] <= high
    assert first == again
    assert {place for place, version in first.items() if version == "2"} < {p for p, v in more.items() if v == "2"}
    low, high = binom.interval(1 - 1e-9, anybody.total(), SHARE)  # by ids that are drawn: never by chance alone
    assert low <= anybody["2"] <= high


def champion_alone(tiny: Tiny) -> str | None:
    """The deployment that is desired, if nobody answers beside the champion."""
    desired = read_deployment(tiny.settings.serving(NAME))
    return desired.id if desired is not None and not any(desired.beside.values()) else None


def test_a_canary_that_is_worse_is_taken_back_by_the_worker_alone_and_nobody_notices(ramping: Tiny, serving: Started):
    url = until(lambda: endpoint(ramping.settings, NAME), what="an endpoint")
    share(ramping, 3, 0.5)

    with under_load(url, INFER_TINY, houses(200, keyed=False)) as load:
        ledger = Archive(ramping.settings.home).ledger
        [act] = until(lambda: ledger.acts(NAME, "withdraw"), within_s=WITHIN_S, what="the end of the canary")
        alone = until(partial(champion_alone, ramping), what="a deployment without it")
        assert wait_until_served(ramping.settings.serving(NAME), alone, WITHIN_S)
        since = time.monotonic()
        until(lambda: all(mine[-1].asked > since + 0.2 for mine in load.told), what="answers after it")

    assert not load.failures
    assert (act.version, act.by) == (3, "ramp")
    assert "score" in act.reason
    late = [told.version for told in load.answers if told.asked > since]
    assert {told.version for told in load.answers} == {"1", "3"}
    assert set(late) == {"1"}


def test_at_half_of_what_its_clients_can_get_memory_stays_flat_and_no_id_is_lost(
    settings: Settings, models: tuple[Trained, Trained]
):
    first = route(settings, models[0], 1)
    deploy(settings, "d", {"eu": first, "us": first})

    with running(settings) as process:
        with under_load(process.url, INFER, applications()) as before:
            time.sleep(min(2.0, SOAK_S / 2))
        per_s = len(before.answers) / min(2.0, SOAK_S / 2)
        resident: list[tuple[float, float]] = []
        with under_load(process.url, INFER, applications(), per_s=per_s / 2) as load:
            over = time.monotonic() + SOAK_S
            while (now := time.monotonic()) < over:
                resident.append((now, mib(process.process.pid)))
                time.sleep(SOAK_S / 100)

    assert not before.failures + load.failures
    half = np.array(resident[len(resident) // 2 :])
    slope = float(np.polyfit(half[:, 0], half[:, 1], 1)[0])
    growth = slope * float(half[-1, 0] - half[0, 0])
    assert growth < FLOOR_MIB, f"{growth:.1f} MiB in the last half, of {half[-1, 1]:.0f}; {per_s:.0f} answers/s at most"
    together = Load(told=[*before.told, *load.told])
    assert_logged(together, settings.serving("loans"))


def mib(process: int) -> float:
    resident = Path(f"/proc/{process}/statm").read_text().split()[1]
    return int(resident) * os.sysconf("SC_PAGE_SIZE") / 2**20
