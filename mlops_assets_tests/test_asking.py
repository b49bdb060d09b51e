"""What is due is asked for once, however many at a time, whoever is killed, and again if it came to nothing."""

from collections.abc import Collection, Generator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from mlops_assets.asking import AT_ONCE, ATTEMPTS, run_requests
from mlops_assets.evidence.step import Due

JOB = "tiny_seal"
ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__"), JOB)
NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
FINISHED = dg.DagsterRunStatus.SUCCESS
FAILED = dg.DagsterRunStatus.FAILURE


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def windows(count: int, version: str = "v1") -> list[Due]:
    return [Due(partition=f"all|{number:03}", version=version, why="closed window") for number in range(count)]


def asked(instance: dg.DagsterInstance, due: Sequence[Due], at: datetime = NOW) -> list[dg.RunRequest]:
    """What a sensor asks for when `due` is due."""

    def look(busy: Collection[str]) -> Generator[Due]:
        yield from (each for each in due if each.partition not in busy)

    return run_requests(instance, JOB, look, at)


def submit(
    instance: dg.DagsterInstance,
    request: dg.RunRequest,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.QUEUED,
    **tags: str,
) -> dg.DagsterRun:
    """Create the run of a request, as the daemon does."""
    own = {"dagster/partition": request.partition_key or "", "dagster/run_key": request.run_key or ""}
    given = {name.replace("__", "/"): value for name, value in tags.items()}
    tags = {**request.tags, **own, **given}
    return instance.add_run(dg.DagsterRun(JOB, str(uuid4()), tags=tags, status=status, remote_job_origin=ORIGIN))


def end(instance: dg.DagsterInstance, run: dg.DagsterRun, status: dg.DagsterRunStatus = FINISHED) -> None:
    instance.run_storage.delete_run(run.run_id)
    instance.add_run(run.with_status(status))


def keys(requests: Sequence[dg.RunRequest]) -> list[str | None]:
    return [request.run_key for request in requests]


def test_a_request_says_why_and_in_whose_turn(instance: dg.DagsterInstance):
    [request] = asked(instance, windows(1))

    assert (request.partition_key, request.run_key) == ("all|000", "all|000@v1 attempt 1")
    assert request.tags["mlops_assets/reason"] == "closed window"
    assert request.tags["mlops_assets/in_turn"] == "tiny_seal all"


@pytest.mark.parametrize("status", ["QUEUED", "STARTING", "STARTED"])
def test_what_waits_or_runs_is_not_asked_for_again(instance: dg.DagsterInstance, status: str):
    [first] = asked(instance, windows(1))
    submit(instance, first, dg.DagsterRunStatus(status))

    again, other = asked(instance, windows(1)), asked(instance, windows(1, "v2"))

    assert (again, other) == ([], [])


def test_of_hundreds_that_are_due_at_once_each_is_asked_for_once_the_oldest_first(instance: dg.DagsterInstance):
    due, order, most = windows(2 * AT_ONCE + 30), list[str | None](), 0

    while due:
        requests = asked(instance, due)
        runs = [submit(instance, request) for request in requests]
        order += [request.partition_key for request in requests]
        waiting = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
        most = max(most, len(waiting))
        for run in runs[: 1 + len(runs) // 2]:
            end(instance, run)
            due = [each for each in due if each.partition != run.tags["dagster/partition"]]
        if not requests:
            for run in waiting:
                end(instance, run)
            due = []

    assert order == [each.partition for each in windows(2 * AT_ONCE + 30)]
    assert most == AT_ONCE


def test_requests_that_were_never_submitted_are_made_again(instance: dg.DagsterInstance):
    lost = asked(instance, windows(3))

    again = asked(instance, windows(3))

    assert keys(again) == keys(lost)


def test_a_run_that_was_created_and_never_submitted_is_asked_for_under_its_own_key(instance: dg.DagsterInstance):
    [first] = asked(instance, windows(1))
    submit(instance, first, dg.DagsterRunStatus.NOT_STARTED)

    assert keys(asked(instance, windows(1))) == [first.run_key]


def test_what_fails_is_asked_for_again_at_once_then_ever_more_rarely_and_never_given_up(instance: dg.DagsterInstance):
    at_once: list[str | None] = []
    for _ in range(ATTEMPTS):
        [request] = asked(instance, windows(1))
        at_once.append(request.run_key)
        submit(instance, request, FAILED)

    waits: list[int] = []
    for _ in range(6):
        hours = next(hours for hours in range(100) if asked(instance, windows(1), NOW + hours * HOUR))
        waits.append(hours)
        submit(instance, asked(instance, windows(1), NOW + hours * HOUR)[0], FAILED)

    assert at_once == [f"all|000@v1 attempt {number}" for number in (1, 2, 3)]
    assert waits == [2, 3, 5, 9, 17, 25]  # an hour, two, four, ... a day; a minute has passed since NOW


def test_new_inputs_are_asked_for_at_once_although_the_old_ones_failed(instance: dg.DagsterInstance):
    for _ in range(ATTEMPTS):
        submit(instance, asked(instance, windows(1))[0], FAILED)

    assert asked(instance, windows(1)) == []
    assert keys(asked(instance, windows(1, "v2"))) == ["all|000@v2 attempt 1"]


def test_those_that_have_to_wait_do_not_hold_up_those_behind_them(instance: dg.DagsterInstance):
    stuck = windows(AT_ONCE + 5)
    for each in stuck:
        for number in range(ATTEMPTS):
            submit(instance, dg.RunRequest(partition_key=each.partition, run_key=str(number), tags=tags(each)), FAILED)
    fresh = Due(partition="all|999", version="v1", why="closed window")

    assert [request.partition_key for request in asked(instance, [*stuck, fresh])] == ["all|999"]


def test_a_success_that_left_its_partition_due_is_followed_by_another_later_and_not_at_once(
    instance: dg.DagsterInstance,
):
    submit(instance, asked(instance, windows(1))[0], FINISHED)

    assert asked(instance, windows(1), NOW) == []
    assert keys(asked(instance, windows(1), NOW + HOUR)) == ["all|000@v1 attempt 2"]


def test_a_killed_run_that_the_daemon_takes_up_again_is_left_to_it(instance: dg.DagsterInstance):
    submit(instance, asked(instance, windows(1))[0], FAILED, dagster__will_retry="true")

    assert asked(instance, windows(1)) == []
    assert len(asked(instance, windows(1), NOW + HOUR)) == 1


def test_a_clock_that_is_stepped_back_asks_for_nothing_twice(instance: dg.DagsterInstance):
    for each in asked(instance, windows(2)):
        submit(instance, each, FINISHED)

    assert asked(instance, windows(2), NOW - HOUR) == []


def tags(due: Due) -> dict[str, str]:
    return {"mlops_assets/asked": f"{due.partition}@{due.version}"}
