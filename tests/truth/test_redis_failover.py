"""The rendered Redis estate in the real programs: what happens when a server goes.

Each server, Sentinel and proxy runs by its own pod's rendered command, configuration and scripts.
"""

import time
from functools import partial

import pytest

from tests.truth.redis_client import Connection, RedisError
from tests.truth.redis_estate import Estate
from tests.truth.redis_writer import Writer

pytestmark = pytest.mark.timeout(180)

WRITES_AGAIN = 5.0  # seconds


def test_first_server_is_the_first_master(estate: Estate) -> None:
    with estate.client() as client:
        assert client.role() == "master"
    for proxy in estate.proxies:
        counted = 'haproxy_backend_active_servers{proxy="redis_master"} 1\n'
        assert counted in estate.metrics(proxy)
    for pod in estate.servers.values():
        assert pod.probe("server", "livenessProbe")
        assert pod.probe("sentinel", "livenessProbe")


def test_wrong_password_is_refused(estate: Estate) -> None:
    with pytest.raises(RedisError, match="WRONGPASS"):
        estate.client(password="not-the-password")
    with estate.client(password="") as nobody, pytest.raises(RedisError, match="NOAUTH"):
        nobody.call("GET", "written")
    sentinel = estate.servers[0]
    with (
        pytest.raises(RedisError, match="NOAUTH"),
        Connection(estate.network.hub.connect(sentinel.address, 26379, 2)) as nobody,
    ):
        nobody.call("SENTINEL", "MASTERS")


def test_master_killed_a_client_writes_again(estate: Estate) -> None:
    old = estate.master()
    with Writer(estate.client) as writer:
        estate.until(lambda: len(writer.acknowledged) > 20, "the writer does not write")
        killed = time.monotonic()
        estate.servers[old].kill("server")
        estate.until(lambda: writer.wrote_since(killed), "no write again", 20)
        estate.until(lambda: estate.masters() not in ([], [old]), "no new master")
    assert writer.longest_gap(killed) < WRITES_AGAIN
    assert writer.misplaced == []
    assert estate.master() != old


def test_killed_master_comes_back_as_replica_with_the_data(estate: Estate) -> None:
    old = estate.master()
    with estate.client() as client:
        client.call("SET", "kept", "through the crash")
        assert client.call("WAIT", "2", "2000") == 2
    # At once, as a kubelet restarts a container the first time: the Sentinels have not noticed.
    estate.servers[old].kill("server")
    estate.servers[old].start("server")
    estate.wait_whole()
    assert estate.master() != old
    with estate.client() as client:
        assert client.call("GET", "kept") == "through the crash"
    with estate.server(old) as replica:
        assert replica.role() == "slave"
        assert replica.call("GET", "kept") == "through the crash"


def test_published_messages_arrive_after_a_failover(estate: Estate) -> None:
    estate.servers[estate.master()].kill("server")
    estate.until(lambda: len(estate.masters()) == 1, "no new master")
    for proxy in (0, 1):
        estate.until(partial(estate.leads_to_master, proxy), f"proxy {proxy} has no master")
    with estate.client(0) as first, estate.client(1) as second, estate.client(1) as publisher:
        for subscriber in (first, second):
            assert subscriber.call("SUBSCRIBE", "example.org") == ["subscribe", "example.org", 1]
        assert publisher.call("PUBLISH", "example.org", "RDATA events") == 2
        for subscriber in (first, second):
            assert subscriber.receive() == ["message", "example.org", "RDATA events"]


def test_old_sessions_end_when_the_master_changes(estate: Estate) -> None:
    old = estate.master()
    with estate.client() as client, estate.sentinel((old + 1) % 3) as sentinel:
        assert sentinel.call("SENTINEL", "FAILOVER", "redis-synapse") == "OK"
        started = time.monotonic()
        # Refused by a replica, or cut off: either way no write goes astray.
        estate.until(lambda: refuses(client), "the session goes on")
    assert time.monotonic() - started < WRITES_AGAIN
    estate.until(lambda: estate.masters() not in ([], [old]), "no new master")


def test_frozen_master_gets_no_connections_when_it_wakes(estate: Estate) -> None:
    old = estate.master()
    with estate.client(timeout=20) as session:
        estate.servers[old].signal("server", "STOP")
        try:
            # The proxy ends it: nobody answers at the other end.
            with pytest.raises(ConnectionError):
                session.receive()
            estate.until(lambda: reaches_another(estate, old), "no failover", 40)
        finally:
            estate.servers[old].signal("server", "CONT")
    woken = time.monotonic()
    while time.monotonic() - woken < 3:
        assert estate.reached() != old
    estate.until(
        lambda: estate.masters() not in ([], [old]) and old not in estate.masters(),
        "the former master did not step down",
    )


def test_partitioned_master_steps_down_when_it_is_back(estate: Estate) -> None:
    old = estate.master()
    pod = estate.servers[old]
    with Writer(estate.client) as writer:
        estate.until(lambda: len(writer.acknowledged) > 20, "the writer does not write")
        cut = time.monotonic()
        estate.network.set_link(pod.port, "down")
        estate.until(lambda: writer.wrote_since(cut + 1), "no write again", 20)
        estate.network.set_link(pod.port, "up")
        estate.until(
            lambda: estate.masters() not in ([], [old]) and len(estate.masters()) == 1,
            "two masters stay",
            30,
        )
    assert writer.misplaced == []
    assert estate.master() != old


def test_hook_before_the_end_hands_over(estate: Estate) -> None:
    old = estate.master()
    with estate.client() as client:
        client.call("SET", "kept", "through the drain")
    hook = estate.servers[old].container("server")["lifecycle"]["preStop"]["exec"]["command"]
    assert estate.servers[old].exec("server", hook, timeout=60) == 0
    with estate.server(old) as handed_over:
        assert handed_over.role() == "slave"
    estate.wait_whole()


def test_deleted_master_is_hardly_missed(estate: Estate) -> None:
    old = estate.master()
    with estate.client() as client:
        client.call("SET", "kept", "through the drain")
    with Writer(estate.client) as writer:
        estate.until(lambda: len(writer.acknowledged) > 20, "the writer does not write")
        asked = time.monotonic()
        estate.delete_server(old)
        estate.make_server(old)
        estate.until(lambda: writer.wrote_since(asked + 3), "no write again", 20)
    assert writer.longest_gap(asked) < WRITES_AGAIN
    assert writer.misplaced == []
    estate.wait_whole()
    with estate.server(old) as replica:
        assert replica.role() == "slave"
        assert replica.call("GET", "kept") == "through the drain"


def test_lost_host_comes_back_under_another_address(estate: Estate) -> None:
    old = estate.master()
    before = estate.servers[old].address
    estate.lose_server(old)
    estate.until(lambda: reaches_another(estate, old), "no failover", 40)
    assert estate.make_server(old).address != before
    estate.wait_whole()
    assert estate.master() != old


def test_all_servers_anew(estate: Estate) -> None:
    for number in range(estate.size):
        estate.lose_server(number)
    for number in range(estate.size):
        estate.make_server(number)
    estate.wait_whole()
    assert estate.master() == 0
    with estate.client() as client:
        assert client.call("SET", "written", "after the end") == "OK"


def test_power_cut_and_one_host_does_not_come_back(estate: Estate) -> None:
    old = estate.master()
    for number, pod in estate.servers.items():
        for container in ("server", "sentinel"):
            if number != old:
                pod.kill(container)
    estate.lose_server(old)
    for pod in estate.servers.values():
        pod.start("server")
        pod.start("sentinel")
    estate.until(lambda: reaches_another(estate, old), "no master again", 60)


def refuses(session: Connection) -> bool:
    try:
        session.call("SET", "written", "to a master of yesterday?")
    except (OSError, RedisError):
        return True
    return False


def reaches_another(estate: Estate, old: int) -> bool:
    try:
        return estate.reached() != old
    except (OSError, RedisError):
        return False
