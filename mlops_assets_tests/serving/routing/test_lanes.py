"""Who answers: a share that is kept, keys that stay where they are, in every process."""

from random import Random
from statistics import NormalDist

import msgspec
import pytest

from mlops_assets.evidence.store import Store
from mlops_assets.serving.routing.deploy import Deployment
from mlops_assets.serving.routing.lanes import BUCKETS, bucket, salted
from mlops_assets.serving.routing.router import Loader
from mlops_assets_tests.serving.loans import LOANS, fitted, route
from mlops_assets_tests.serving.routing.beside import STICKY, canary, decoded, table_of

Z = NormalDist().inv_cdf(0.9995)  # 99.9% of a binomial lies this many standard deviations around its mean
REQUESTS = 20_000


def keys(count: int, seed: int = 0) -> list[bytes]:
    random = Random(seed)
    return [random.randbytes(16) for _ in range(count)]


@pytest.fixture
def routes(settings, first, second):
    return route(settings, first, 1), route(settings, second, 2)


@pytest.mark.parametrize("share", [0.0001, 0.05, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("sequential", [False, True])
def test_a_canary_answers_its_share(settings, routes, share, sequential):
    one, two = routes
    lane = table_of(settings, one, canary(two, share)).lanes["eu"]
    asked = [str(at).encode() for at in range(REQUESTS)] if sequential else keys(REQUESTS)

    answered = sum(lane.choose(key) is lane.rival for key in asked)

    assert abs(answered - share * REQUESTS) <= Z * (REQUESTS * share * (1 - share)) ** 0.5 + 0.5


def test_whoever_was_answered_by_a_canary_still_is_when_its_share_grows(settings, routes):
    one, two = routes
    asked, before = keys(2_000), set[bytes]()

    for share in (0.01, 0.05, 0.25, 1.0):
        lane = table_of(settings, one, canary(two, share)).lanes["eu"]
        now = {key for key in asked if lane.choose(key) is lane.rival}
        assert before < now
        before = now

    assert len(before) == len(asked)


def test_two_trials_draw_independently(settings, routes):
    one, two = routes
    lanes = [table_of(settings, one, canary(two, 0.5, salt=salt)).lanes["eu"] for salt in ("first", "second")]

    both = sum(all(lane.choose(key) is lane.rival for lane in lanes) for key in keys(REQUESTS))

    assert abs(both - REQUESTS / 4) <= Z * (REQUESTS * 3 / 16) ** 0.5


def test_buckets_stay_what_they_are_or_a_running_trial_would_deal_everybody_anew():
    found = [bucket(salted("eu r1"), str(key).encode()) for key in range(5)]

    assert found == [5014, 3421, 4441, 2379, 8542]


def test_the_buckets_are_even():
    counts = [0] * 10
    for key in keys(REQUESTS):
        counts[bucket(salted("x"), key) * 10 // BUCKETS] += 1

    assert sum((count - REQUESTS / 10) ** 2 / (REQUESTS / 10) for count in counts) < 27.9  # chi-square, 9 df, 0.999


def test_the_declared_column_decides_and_where_it_is_missing_the_request(settings, routes):
    one, two = routes
    by_key = table_of(settings, one, canary(two, 0.5), product=STICKY).lanes["eu"]
    by_job = table_of(settings, one, canary(two, 0.5), product=sticky_by("job")).lanes["eu"]
    by_chance = table_of(settings, one, canary(two, 0.5)).lanes["eu"]

    assert by_key.key_of(decoded("7")) == b"7"
    assert by_key.key_of(decoded(None)) is None
    assert by_job.key_of(decoded("7")) == b"nurse"
    assert by_chance.key_of(decoded("7")) is None


def sticky_by(column):
    return STICKY.model_copy(update={"endpoint": STICKY.endpoint.model_copy(update={"sticky": column})})


def test_a_column_that_no_request_has_is_refused_once_it_is_to_decide(settings, routes):
    one, two = routes

    assert table_of(settings, one, product=sticky_by("town")).lanes["eu"].rival is None
    with pytest.raises(ValueError, match="no request has a column 'town'; requests have age, salary, job, id"):
        table_of(settings, one, canary(two, 0.5), product=sticky_by("town"))


def test_a_segment_that_is_routed_as_before_keeps_its_counts(settings, routes):
    one, two = routes
    loader = Loader(LOANS, Store(settings.home))
    first = Deployment(
        id="d1", product="loans", at="", routes={"eu": one, "us": one}, beside={"eu": [canary(two, 0.1)]}
    )
    other = msgspec.structs.replace(first, id="d2", routes={"eu": one, "us": two})
    grown = msgspec.structs.replace(other, id="d3", beside={"eu": [canary(two, 0.2)]})
    loader.table(first).lanes["eu"].champion.tally.errors = 5

    kept, anew = loader.table(other).counts(), loader.table(grown).counts()

    assert (kept["eu/champion/1"].errors, anew["eu/champion/1"].errors) == (5, 0)
    assert set(kept) == {"eu/champion/1", "eu/canary/2", "us/champion/2"}


def test_the_champion_before_is_warm_so_that_a_rollback_loads_nothing(settings, routes):
    one, two = routes
    three = route(settings, fitted(3), 3)
    loader = Loader(LOANS, Store(settings.home))
    now = Deployment(id="d1", product="loans", at="", routes={"eu": two}, warm={"eu": one})
    loader.table(now)
    loader.warm(one)
    for number in range(3):  # deployments for the sake of another segment
        loader.table(msgspec.structs.replace(now, id=f"d{number}", routes={"eu": two, "us": three}))
        loader.warm(one)
    (settings.home / one.model.address).unlink()

    back = loader.table(Deployment(id="back", product="loans", at="", routes={"eu": one}))

    assert back.lane("eu").champion.version == 1
