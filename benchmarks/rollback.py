"""From a rollback's act in the ledger to the last answer of the version before, seen by a client that keeps asking.

`python -m benchmarks.rollback PORT BODY` is that client: it prints each change of the version that answers.
"""

import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.measure import python
from benchmarks.plain_steps import register
from benchmarks.results import Result, result
from benchmarks.served import PLAIN, SEGMENT, listening, served
from benchmarks.served_client import answered, connected, request_of
from mlops_assets.catalogue import read_catalogue
from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.step import parse
from mlops_assets.operations.flow import step
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.serving.ramp.acts import roll_back
from mlops_assets.serving.steps import EndpointStep
from mlops_assets.settings import Settings

AIM_MS = 50
SETTLES_S = 0.5


def rolled_back(settings: Settings, folder: Path, times: int) -> list[Result]:
    """Return the median ms of rollbacks there and back, and the longest, while one client asks without a pause."""
    product = read_catalogue(settings.defs).product(PLAIN)
    versions = _two_versions(settings, product)
    body = msgspec.json.encode(served(settings, PLAIN, 1).rows[0]).decode()
    taken: list[float] = []
    command = python("-m", "benchmarks.served", PLAIN, "whole")
    with listening(command, settings, folder / "rollback.txt") as (port, _), _changes(port, body) as changes:
        for at in range(times):
            time.sleep(SETTLES_S)
            roll_back(settings, product, to=versions[at % 2], segment=SEGMENT, by="benchmark", reason="benchmark")
            act = Archive(settings.home).ledger.acts(PLAIN, "rollback")[-1]
            taken.append(1000 * (next(changes) - datetime.fromisoformat(act.at).timestamp()))
    return [result("rollback_ms", median(taken), "ms", aim=AIM_MS), result("rollback_ms/longest", max(taken), "ms")]


def _two_versions(settings: Settings, product: ModelProduct) -> tuple[int, int]:
    """Make an older model of the segment champion too, and return the version before and this one."""
    archive = Archive(settings.home)
    before = archive.ledger.champion(product.name, SEGMENT)
    assert before is not None
    assert before.version is not None
    place = archive.held(before.record or "").record.place.partition
    older = [each for each in sorted(archive.heads(product.name, Stage.FEATURES)) if parse(each)[0] == parse(place)[0]]
    held = step(Stage.MODEL, product, settings).make(next(each for each in reversed(older) if each < place))
    version = 1 + max(act.version or 0 for act in archive.ledger.acts(product.name, "register"))
    act = register(archive, product, held, version)
    archive.ledger.move_champion(msgspec.structs.replace(act, kind="promote", by="gate"), expected=before.version)
    EndpointStep(product=product, archive=archive, settings=settings).make("all")
    return before.version, version


@contextmanager
def _changes(port: int, body: str) -> Generator[Generator[float]]:
    """Ask while the block runs; yield when (s since 1970) the last answer came of each version that was left."""
    command = python("-u", "-m", "benchmarks.rollback", str(port), body)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout
        try:
            assert next(said) == "asking\n"
            yield (float(line) for line in said)
        finally:
            process.kill()


def main(port: str, body: str) -> None:
    """Ask for ever, and print when the last answer of a version came, as soon as another one has answered."""
    connection, request = connected(int(port)), request_of(f"/v2/models/{PLAIN}/infer", body.encode())
    version, last = None, 0.0
    while True:
        connection.sendall(request)
        found = answered(connection)
        came = time.time()
        now = msgspec.json.decode(found)["model_version"]
        if version is None:
            print("asking")
        elif now != version:
            print(last)
        version, last = now, came


if __name__ == "__main__":
    main(*sys.argv[1:])
