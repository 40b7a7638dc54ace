"""What the Redis component declares beside its objects."""

import base64
import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from installer.core.settings import documentation_gaps
from manifests.assembly import endpoint
from manifests.components.redis.component import FOLDER, SCRIPTS, alert_groups, dashboard
from manifests.contributions import AlertRules, Dashboard, ScrapeTarget
from manifests.registry import all_components, assembled, check, settings_model
from tests.unit.manifests.samples import ROWS, named, objects, settings
from tests.unit.manifests.synthetic import real

# Names that the exporters give (redis_exporter: exporter/exporter.go and sentinels.go; HAProxy:
# addons/promex/service-prometheus.c), as far as rules and dashboard use them.
METRICS = {
    "redis_up",
    "redis_connected_slaves",
    "redis_connected_clients",
    "redis_commands_processed_total",
    "redis_memory_used_bytes",
    "redis_memory_max_bytes",
    "redis_sentinel_master_ok_sentinels",
    "haproxy_backend_active_servers",
    "haproxy_backend_current_queue",
    "haproxy_backend_current_sessions",
    "haproxy_backend_retry_warnings_total",
    "haproxy_process_current_connections",
    "haproxy_process_max_connections",
}


def test_every_setting_is_described() -> None:
    assert documentation_gaps(settings_model()) == []


@pytest.mark.parametrize("row", ROWS)
def test_endpoints_lead_to_services_and_pods(row: str) -> None:
    made = assembled(settings(row))
    found = objects(row)
    for name in ("synapse", "livekit"):
        offered = endpoint(made, "redis", name)
        assert offered is not None
        service, namespace, *_ = offered.host.split(".")
        assert named(found, "Service", service)["metadata"]["namespace"] == namespace
        assert offered.host.endswith(".svc.cluster.local")
        by_sentinel = endpoint(made, "redis", f"{name}-sentinel")
        assert (by_sentinel is None) is (row == "trial")
        for address in by_sentinel.facts["addresses"] if by_sentinel else ():
            assert named(found, "Service", address.partition(".")[0])


OURS: dict[str, Any] = {
    "provision": "external",
    "external": {
        "host": "redis.example.org",
        "password": "secret:redis-of-ours",
        "networks": ["10.30.0.16/29"],
    },
}


def test_an_estate_of_the_operators_is_not_made() -> None:
    parts = {"redis": {"livekit": OURS}}
    names = {m["metadata"]["name"] for m in objects(components=parts)}
    assert "redis-synapse" in names
    assert not any("livekit" in name for name in names)
    offered = endpoint(assembled(settings(components=parts)), "redis", "livekit")
    assert offered is not None
    assert (offered.host, offered.port) == ("redis.example.org", 6379)
    assert [str(network) for network in offered.networks] == ["10.30.0.16/29"]
    assert offered.secrets == {"password": "redis-of-ours"}


def test_with_both_estates_elsewhere_there_is_no_namespace() -> None:
    other = {**OURS, "external": {**OURS["external"], "host": "other.example.org"}}
    assert objects(components={"redis": {"synapse": OURS, "livekit": other}}) == []


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"synapse": {"provision": "external"}}, "needed with provision: external"),
        ({"synapse": {**OURS, "provision": "install"}}, "means something with provision: external"),
        ({"synapse": OURS, "livekit": OURS}, "the same server as Synapse's"),
    ],
)
def test_provisions_that_do_not_fit_are_refused(parts: dict[str, Any], why: str) -> None:
    (finding,) = check(settings(components={"redis": parts}))
    assert why in finding.why


def test_another_cluster_domain() -> None:
    made = assembled(settings(networks={"cluster_domain": "k8s.example.org"}))
    offered = endpoint(made, "redis", "synapse")
    assert offered is not None
    assert offered.host == "redis-synapse-proxy.example-redis.svc.k8s.example.org"


def test_monitoring_is_offered() -> None:
    (redis,) = [item for item in assembled(settings()) if item.name == "redis"]
    sent = redis.declaration.contributions
    jobs = {t.job for t in sent if isinstance(t, ScrapeTarget)}
    assert jobs == {
        f"redis-{estate}{part}"
        for estate in ("synapse", "livekit")
        for part in ("", "-proxy", "-sentinel")
    }
    pods = {p.name: p for p in redis.declaration.pods}
    for target in (t for t in sent if isinstance(t, ScrapeTarget)):
        assert pods[target.pod_set].port(target.port)
    assert any(isinstance(t, AlertRules) for t in sent)
    assert any(isinstance(t, Dashboard) for t in sent)


def rules() -> list[dict[str, Any]]:
    return [rule for group in alert_groups() for rule in group["rules"]]


def test_alerts_are_whole_and_include_silence() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}
    assert sum("absent(" in rule["expr"] for rule in rules()) == 2


def test_alerts_and_dashboard_use_metrics_that_exist() -> None:
    panels = [t["expr"] for panel in dashboard()["panels"] for t in panel["targets"]]
    used = set()
    for expression in [*panels, *(rule["expr"] for rule in rules())]:
        used |= set(
            re.findall(r"\b(?:redis|haproxy)_[a-z_]+\b", re.sub(r'"[^"]*"', "", expression))
        )
    assert used <= METRICS, used - METRICS
    assert json.loads(json.dumps(dashboard())) == dashboard()


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_parse_in_a_plain_shell(script: str) -> None:
    subprocess.run(["sh", "-n", str(FOLDER / "scripts" / script)], check=True, timeout=10)


@pytest.mark.parametrize("row", ROWS)
def test_trial_has_one_of_everything(row: str) -> None:
    found = objects(row)
    servers = named(found, "StatefulSet", "redis-synapse")
    proxy = named(found, "Deployment", "redis-synapse-proxy")
    names = [c["name"] for c in servers["spec"]["template"]["spec"]["containers"]]
    expected = (1, 1, False) if row == "trial" else (3, 2, True)
    assert (servers["spec"]["replicas"], proxy["spec"]["replicas"], "sentinel" in names) == expected


def test_probes_give_a_slow_start_five_minutes() -> None:
    for name in ("redis-synapse", "redis-livekit"):
        servers = named(objects(), "StatefulSet", name)
        for container in servers["spec"]["template"]["spec"]["containers"]:
            probe = container.get("startupProbe")
            if probe:
                assert probe["periodSeconds"] * probe["failureThreshold"] == 300


@pytest.mark.parametrize("component", all_components(), ids=lambda c: c.name)
def test_every_component_has_its_operators_page(component: Any) -> None:
    page = (component.folder / "README.md").read_text()
    assert page.startswith(f"# {component.title}\n")
    for name, field in component.settings.model_fields.items():
        if name != "patches":
            assert f"`{name}`" in page, f"{component.name}: {name} is not on its page"
            assert field.description


def test_alerts_are_on_the_page() -> None:
    page = (real("redis").folder / "README.md").read_text()
    for rule in rules():
        assert rule["alert"] in page


def test_alerts_file_is_plain_yaml() -> None:
    assert yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]


# Options whose second word is part of their name.
TWO_WORDS = {
    "balance", "client-output-buffer-limit", "default-server", "http-request", "log", "mode",
    "option", "sentinel", "tcp-check", "tcp-request", "timeout",
}  # fmt: skip


def options_used(row: str) -> set[str]:
    """``FILE OPTION`` of every line of the rendered configuration."""
    used = set()
    for manifest in (m for m in objects(row) if m["kind"] == "Secret"):
        for name, content in manifest["data"].items():
            if not name.endswith((".conf", ".cfg")):
                continue
            for line in base64.b64decode(content).decode().splitlines():
                words = line.partition("#")[0].split()
                if words:
                    two = words[0] in TWO_WORDS and not (
                        name == "server.conf" and words[0] == "timeout"
                    )
                    used.add(" ".join([name, *words[: 2 if two else 1]]))
    return used


def test_only_options_that_both_versions_know_are_rendered() -> None:
    lines = (FOLDER / "options.txt").read_text().splitlines()
    listed = {line for line in lines if line and not line.startswith("#")}
    used = {option for row in ROWS for option in options_used(row)}
    assert used == listed
