"""Endpoint processes with a canary, a split or a shadow: the share they answer, and what is never mixed."""

import contextlib
import threading
from itertools import cycle
from statistics import NormalDist

import pytest

from mlops_assets.serving.log.frames import mapped, read_frames
from mlops_assets.serving.log.sealed import table as sealed_table
from mlops_assets.serving.routing.deploy import wait_until_served
from mlops_assets.serving.workers import workers
from mlops_assets_tests.serving.loans import INFER, ROW, deploy, post, route, running
from mlops_assets_tests.serving.routing.beside import canary
from mlops_assets_tests.started import until

FOREVER_S = 60
Z = NormalDist().inv_cdf(0.9995)
REQUESTS, SHARE = 1_500, 0.2
SWAPS = 12


@pytest.fixture
def folder(settings):
    return settings.serving("loans")


@pytest.fixture
def routes(settings, first, second):
    return route(settings, first, 1), route(settings, second, 2)


def logged(folder, kind="log"):
    paths = sorted((folder / kind).glob("*/*.log"))
    return sealed_table((path.stem, frame) for path in paths for frame in read_frames(mapped(path)).frames)


def served(folder, settings, name, champion, *beside):
    deploy(settings, name, {"eu": champion, "us": champion}, beside={"eu": list(beside)})
    return wait_until_served(folder, name, FOREVER_S)


def test_a_canary_answers_its_share_and_workers_count_what_it_did(settings, folder, routes):
    one, two = routes
    deploy(settings, "d1", {"eu": one, "us": one}, beside={"eu": [canary(two, SHARE)]})
    with running(settings) as endpoint, contextlib.closing(endpoint.connect()) as connection:
        replies = [post(connection, INFER, ROW) for _ in range(REQUESTS)]
        [worker] = until(
            lambda: [each for each, _ in workers(folder) if sum(c.requests for c in each.counts.values()) == REQUESTS],
            within_s=FOREVER_S,
        )

    answered = [reply.headers["mlops-model-version"] for reply in replies]
    by_canary = answered.count("2")
    assert {reply.status for reply in replies} == {200}
    assert abs(by_canary - SHARE * REQUESTS) <= Z * (REQUESTS * SHARE * (1 - SHARE)) ** 0.5
    assert worker.counts_of == "d1"
    assert {key: each.requests for key, each in worker.counts.items()} == {
        "eu/champion/1": REQUESTS - by_canary,
        "eu/canary/2": by_canary,
        "us/champion/1": 0,
    }
    assert worker.counts["eu/canary/2"].scores == {int(100 * output_of(replies, "2")): by_canary}
    rows = {row["inference_id"]: row for row in logged(folder).iter_rows(named=True)}
    told = {reply.body["inference_id"]: reply.headers["mlops-model-version"] for reply in replies}
    assert {id_: str(row["version"]) for id_, row in rows.items()} == told
    assert {(row["version"], row["variant"]) for row in rows.values()} == {(1, "champion"), (2, "canary")}


def output_of(replies, version):
    return next(reply.body["output"] for reply in replies if reply.headers["mlops-model-version"] == version)


def test_a_key_goes_the_same_way_in_every_worker_and_a_growing_share_takes_none_back(settings, folder, routes):
    one, two = routes
    deploy(settings, "d1", {"eu": one, "us": one}, beside={"eu": [canary(two, 0.3)]})
    keys = [f"customer {at}" for at in range(60)]

    def asked(endpoint):
        with contextlib.closing(endpoint.connect()) as connection:
            replies = {key: post(connection, INFER, ROW | {"id": key}) for key in keys}
        return {key for key, reply in replies.items() if reply.headers["mlops-model-version"] == "2"}

    with running(settings, sticky="id") as endpoint:
        before = asked(endpoint)
        with running(settings, sticky="id") as other:
            beside = asked(other)
            served(folder, settings, "d2", one, canary(two, 0.6))
            grown = [asked(each) for each in (endpoint, other)]
            served(folder, settings, "d3", one, canary(two, 0.3))
            back = asked(endpoint)

    assert 0 < len(before) < len(keys)
    assert before == beside == back
    assert grown[0] == grown[1]
    assert before < grown[0]


def test_no_answer_mixes_versions_while_traffic_is_shifted(settings, folder, routes, first, second):
    """Every answer is that of one table: its version, its output, what is logged and what was deployed agree."""
    one, two = routes
    tables = [
        (one, [canary(two, 0.4)]),
        (two, [canary(one, 0.5, name="split")]),
        (one, [canary(two, 1.0, name="shadow")]),
        (two, []),
    ]
    allowed = [{("champion", 1), ("canary", 2)}, {("champion", 2), ("split", 1)}, {("champion", 1)}, {("champion", 2)}]
    served_by, replies, stop = {"d0": allowed[0]}, [], threading.Event()
    deploy(settings, "d0", {"eu": tables[0][0], "us": one}, beside={"eu": tables[0][1]})

    def load(endpoint, bodies):
        with contextlib.closing(endpoint.connect()) as connection:
            for body in cycle(bodies):
                replies.append(post(connection, INFER, body))
                if stop.is_set():
                    return

    with running(settings) as endpoint:
        batch = {"rows": [ROW] * 3}
        threads = [threading.Thread(target=load, args=(endpoint, each)) for each in ([ROW], [batch], [ROW, batch])]
        for thread in threads:
            thread.start()
        for number in range(1, SWAPS + 1):
            champion, beside = tables[number % 4]
            served_by[f"d{number}"] = allowed[number % 4]
            assert len(served(folder, settings, f"d{number}", champion, *beside)) == 1
        stop.set()
        for thread in threads:
            thread.join()
        endpoint.process.terminate()
        assert endpoint.process.wait(FOREVER_S) == 0

    told = {id_: (version, output) for reply in replies for id_, version, output in answers(reply)}
    rows = logged(folder)
    assert {reply.status for reply in replies} == {200}
    assert {row["inference_id"]: (row["version"], row["output"]) for row in rows.iter_rows(named=True)} == told
    assert len({output for _, output in told.values()}) == 2 == len(set(told.values()))
    found = {each: set[tuple[str, int]]() for each in served_by}
    for deployment, variant, version in rows.select("deployment", "variant", "version").iter_rows():
        found[deployment].add((variant, version))
    assert all(found[each] <= served_by[each] for each in served_by)
    assert {pair for pairs in found.values() for pair in pairs} == set().union(*allowed)
    copies = logged(folder, "shadow")
    assert 0 < copies.height == copies.join(rows, on="inference_id", how="semi").height
    assert {found for found in served_by if served_by[found] == {("champion", 1)}} >= set(copies["deployment"])


def answers(reply):
    """Id, version and output of each row of a reply; the header names the version of all."""
    rows = reply.body.get("predictions", [reply.body])
    assert {row["model_version"] for row in rows} == {reply.headers["mlops-model-version"]}
    return [(row["inference_id"], int(row["model_version"]), row["output"]) for row in rows]
