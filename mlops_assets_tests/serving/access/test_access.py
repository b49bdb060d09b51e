"""Who may do what: the file of names, the keys, the proxy, and how tries are limited."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest

from mlops_assets.serving.access.access import TRIES, Access
from mlops_assets.serving.access.keys import add_identity, add_key, end_of, file_of, names, read_entries, remove
from mlops_assets.serving.access.opening import access_at, is_loopback
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets.settings import Proxy, Settings, load_settings

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PROXY = Proxy(header=b"x-user", networks=(ip_network("10.0.0.0/8"),))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return file_of(tmp_path, "loans")


def opened(file: Path, *, loopback: bool = True, proxy: Proxy | None = None, now: datetime = NOW) -> Access:
    access = Access(file.parent, "loans", loopback=loopback, proxy=proxy)
    access.reload(now)
    return access


def asked(*headers: tuple[str, str], address: str = "192.0.2.7") -> dict[str, object]:
    return {"headers": [(name.encode(), value.encode()) for name, value in headers], "client": (address, 1)}


def bearer(key: str) -> dict[str, object]:
    return asked(("authorization", f"Bearer {key}"))


def test_a_key_lets_in_whom_it_was_made_for_and_is_stored_nowhere(file):
    key = add_key(file, "checkout", ["predict", "read"], None, NOW)
    access = opened(file)

    assert access.allows(bearer(key), "predict").by == "key:checkout"
    assert access.allows(asked(("x-api-key", key)), "read").by == "key:checkout"
    assert key not in file.read_text()
    assert len(key) >= 43
    assert file.stat().st_mode & 0o077 == 0


def test_a_key_may_do_only_what_it_was_made_for(file):
    key = add_key(file, "checkout", ["predict"], None, NOW)
    access = opened(file)

    with pytest.raises(Refused, match="key:checkout may predict; this needs 'operate'") as refused:
        access.allows(bearer(key), "operate")

    assert refused.value.status == 403
    assert access.refused == {"not_allowed": 1}


@pytest.mark.parametrize("wrong", ["", "Bearer", "Bearer x", "Basic eDp5", "mlops_"])
def test_a_wrong_key_is_a_401_that_says_how_to_show_one(file, wrong):
    add_key(file, "checkout", ["predict"], None, NOW)

    with pytest.raises(Refused) as refused:
        opened(file).allows(asked(("authorization", wrong)), "predict")

    assert (refused.value.status, refused.value.headers[0][0]) == (401, b"www-authenticate")


def test_nobody_is_a_401(file):
    add_key(file, "checkout", ["predict"], None, NOW)

    with pytest.raises(Refused, match="right is header Authorization: Bearer KEY, or X-Api-Key: KEY") as refused:
        opened(file).allows(asked(), "predict")

    assert refused.value.status == 401


def test_changes_count_once_they_are_read_and_the_last_name_leaves_nobody(file):
    access = opened(file)
    assert not access.on
    key = add_key(file, "checkout", ["predict"], None, NOW)
    assert access.reload(NOW)
    assert access.on
    assert access.allows(bearer(key), "predict")
    assert not access.reload(NOW)

    remove(file, "checkout")
    access.reload(NOW)

    assert access.on
    with pytest.raises(Refused):
        access.allows(bearer(key), "predict")


def test_a_file_that_goes_away_or_breaks_changes_nothing(file):
    key = add_key(file, "checkout", ["predict"], None, NOW)
    access = opened(file)

    file.write_text("[{]")
    with pytest.raises(ValueError, match="right is what `mlops-assets access` writes"):
        access.reload(NOW)
    file.unlink()
    access.reload(NOW)

    assert access.on
    assert access.allows(bearer(key), "predict")


def test_a_name_counts_until_its_time_is_over(file):
    key = add_key(file, "audit", ["read"], end_of("2026-03-01"), NOW)
    access = opened(file)

    last, over = NOW + timedelta(hours=23, minutes=59), NOW + timedelta(days=1)
    access.reload(last)
    assert access.allows(bearer(key), "read")
    assert access.reload(over)
    with pytest.raises(Refused):
        access.allows(bearer(key), "read")
    assert [each.over for each in names(read_entries(file) or [], over)] == [True]


def test_many_wrong_tries_are_told_to_wait_and_right_keys_are_not(file):
    key = add_key(file, "checkout", ["predict"], None, NOW)
    access = opened(file)
    statuses = []
    for _ in range(TRIES + 5):
        with pytest.raises(Refused) as refused:
            access.allows(bearer("wrong"), "predict")
        statuses.append(refused.value.status)

    assert statuses == [401] * TRIES + [429] * 5
    assert refused.value.headers[0][0] == b"retry-after"
    assert access.allows(bearer(key), "predict").by == "key:checkout"
    assert access.refused == {"unknown_key": TRIES + 5, "too_many_tries": 5}


def test_a_name_is_believed_only_from_a_declared_proxy(file):
    add_identity(file, "ann", ["predict", "operate"], None, NOW)
    access = opened(file, proxy=PROXY)

    assert access.allows(asked(("x-user", "ann"), address="10.1.2.3"), "operate").by == "proxy:ann"
    assert access.allows(asked(("x-user", "ann"), address="::ffff:10.1.2.3"), "operate").by == "proxy:ann"
    with pytest.raises(Refused) as stranger:
        access.allows(asked(("x-user", "ann"), address="192.0.2.7"), "predict")
    with pytest.raises(Refused, match="proxy:bob may do nothing; this needs 'predict'") as unknown:
        access.allows(asked(("x-user", "bob"), address="10.1.2.3"), "predict")

    assert (stranger.value.status, unknown.value.status) == (401, 403)


def test_a_name_that_a_client_puts_beside_that_of_the_proxy_is_not_believed(file):
    add_identity(file, "ann", ["predict", "operate"], None, NOW)
    add_identity(file, "*", ["predict"], None, NOW)
    access = opened(file, proxy=PROXY)

    for both in (("ann", "mallory"), ("mallory", "ann"), ("ann", "ann")):
        with pytest.raises(Refused, match="header x-user came 2 times; right is a proxy that replaces") as refused:
            access.allows(asked(*(("x-user", name) for name in both), address="10.1.2.3"), "operate")
        assert refused.value.status == 403

    assert access.refused == {"several_names": 3}


def test_a_proxy_may_pass_a_token_of_its_own_on(file):
    add_identity(file, "ann", ["predict"], None, NOW)
    both = (("authorization", "Bearer eyJhbGciOi"), ("x-user", "ann"))

    assert opened(file, proxy=PROXY).allows(asked(*both, address="10.1.2.3"), "predict").by == "proxy:ann"
    with pytest.raises(Refused):
        opened(file, proxy=PROXY).allows(asked(*both), "predict")


def test_anyone_that_the_proxy_lets_in_may_be_named_at_once(file):
    add_identity(file, "*", ["predict"], None, NOW)
    add_identity(file, "ann", ["read"], None, NOW)
    access = opened(file, proxy=PROXY)

    assert access.allows(asked(("x-user", "bob"), address="10.0.0.1"), "predict").by == "proxy:bob"
    assert access.allows(asked(("x-user", "ann"), address="10.0.0.1"), "read").acts == ("read",)
    with pytest.raises(Refused):
        access.allows(asked(("x-user", "*"), address="10.0.0.1"), "predict")


def test_a_name_of_a_proxy_is_no_key_and_a_name_of_a_key_no_identity(file):
    add_key(file, "checkout", ["predict"], None, NOW)
    add_identity(file, "ann", ["predict"], None, NOW)
    access = opened(file, proxy=PROXY)

    for scope in (bearer("ann"), asked(("x-user", "checkout"), address="10.0.0.1")):
        with pytest.raises(Refused):
            access.allows(scope, "predict")


def test_names_and_acts_are_checked_when_they_are_entered(file):
    add_key(file, "checkout", ["predict"], None, NOW)

    with pytest.raises(ValueError, match="'checkout' is there already"):
        add_key(file, "checkout", ["read"], None, NOW)
    with pytest.raises(ValueError, match="no act 'fly'; acts: read, predict, operate, approve"):
        add_key(file, "bird", ["fly"], None, NOW)
    with pytest.raises(ValueError, match="is over; right is a time to come"):
        add_key(file, "late", ["read"], end_of("2026-02-27"), NOW)
    with pytest.raises(ValueError, match="is no date; right is 2026-01-31"):
        end_of("tomorrow")
    with pytest.raises(LookupError, match="no name 'bob'; known names: checkout"):
        remove(file, "bob")
    assert [each.name for each in read_entries(file) or []] == ["checkout"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_an_open_host_needs_a_name_or_a_proxy(settings, host):
    with pytest.raises(ValueError, match=f"at {host} other machines can ask.*mlops-assets access loans add NAME --can"):
        access_at(host, "loans", settings)

    add_key(file_of(settings.access_folder, "loans"), "checkout", ["predict"], None, datetime.now(UTC))

    assert access_at(host, "loans", settings).on


def test_a_key_that_is_over_opens_no_host(settings):
    file = file_of(settings.access_folder, "loans")
    add_key(file, "old", ["read"], end_of("2020-01-01"), datetime(2019, 1, 1, tzinfo=UTC))

    with pytest.raises(ValueError, match="names nobody who may"):
        access_at("0.0.0.0", "loans", settings)


@pytest.mark.parametrize(("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("", False)])
def test_only_this_machine_reaches_loopback(host, loopback):
    assert is_loopback(host) is loopback


def test_header_and_addresses_of_a_proxy_go_together(monkeypatch):
    monkeypatch.setenv("MLOPS_ASSETS_PROXY_HEADER", "X-User")
    with pytest.raises(ValueError, match="go together"):
        load_settings()
    monkeypatch.setenv("MLOPS_ASSETS_PROXIES", "10.0.0.0/33")
    with pytest.raises(ValueError, match=r"MLOPS_ASSETS_PROXIES: .* right is 10.1.2.3,10.2.0.0/16"):
        load_settings()
    monkeypatch.setenv("MLOPS_ASSETS_PROXIES", "10.0.0.0/8, 127.0.0.1")

    found = load_settings().proxy

    assert found is not None
    assert (found.header, [str(each) for each in found.networks]) == (b"x-user", ["10.0.0.0/8", "127.0.0.1/32"])
