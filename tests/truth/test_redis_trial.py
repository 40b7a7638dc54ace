"""The trial row in the real programs: one server, one proxy, no Sentinel."""

from tests.truth.redis_estate import Estate


def test_trial_serves_and_survives_a_restart(trial_estate: Estate) -> None:
    estate = trial_estate
    with estate.client() as client:
        assert client.role() == "master"
        assert client.call("SET", "written", "1") == "OK"
    estate.servers[0].kill("server")
    estate.until(
        lambda: estate.health(estate.proxies[0], "/master") == 503, "the loss is not noticed"
    )
    assert estate.health(estate.proxies[0], "/alive") == 200
    estate.servers[0].start("server")
    estate.wait_whole()
    with estate.client() as client:
        assert client.call("SET", "written", "2") == "OK"


def test_a_new_pod_is_found_under_its_new_address(trial_estate: Estate) -> None:
    estate = trial_estate
    before = estate.servers[0].address
    estate.delete_server(0)
    assert estate.make_server(0).address != before
    estate.wait_whole()
