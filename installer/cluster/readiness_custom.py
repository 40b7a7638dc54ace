"""Readiness of custom resources, by group and kind.

A custom resource without a status is not ready: its controller has not looked at it yet. Kinds
that never get a status are listed as such; a kind that is not listed needs a Ready or Available
condition.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from installer.cluster.readiness_parts import (
    Readiness,
    condition,
    failed,
    holds,
    ready,
    told,
    waiting,
)

Rule: TypeAlias = Callable[[Mapping[str, Any]], Readiness]


def conditions(*kinds: str, stamped: bool = False) -> Rule:
    """All conditions True; ``stamped``: each carries the object's generation it was made for."""

    def rule(live: Mapping[str, Any]) -> Readiness:
        generation = live["metadata"].get("generation")
        for kind in kinds:
            entry = condition(live, kind)
            if not entry:
                return waiting(f"has no condition {kind} yet")
            if stamped and entry.get("observedGeneration") != generation:
                return waiting(f"condition {kind} speaks of an older generation")
            if entry.get("status") != "True":
                return waiting(told(entry))
        return ready()

    return rule


def _cnpg_cluster(live: Mapping[str, Any]) -> Readiness:
    """https://cloudnative-pg.io/documentation/current/cloudnative-pg.v1/#clusterstatus"""
    wanted = live["spec"].get("instances", 1)
    status = live["status"]
    up = status.get("readyInstances", 0)
    if up != wanted:
        return waiting(f"{up} of {wanted} instances ready: {status.get('phase', 'no phase yet')}")
    return conditions("Ready")(live)


def _cnpg_pooler(live: Mapping[str, Any]) -> Readiness:
    wanted, up = live["spec"].get("instances", 1), live["status"].get("instances", 0)
    return ready() if up == wanted else waiting(f"{up} of {wanted} poolers")


def _cnpg_applied(live: Mapping[str, Any]) -> Readiness:
    """Database, Publication, Subscription: ``status.applied`` with a message when it failed."""
    status = live["status"]
    if status.get("observedGeneration") != live["metadata"].get("generation"):
        return waiting("not yet seen by its operator")
    if status.get("applied") is True:
        return ready()
    return waiting(status.get("message") or "not applied yet")


def _acme_order(live: Mapping[str, Any]) -> Readiness:
    state = live["status"].get("state", "")
    if state in ("invalid", "expired", "errored"):
        reason = live["status"].get("reason", state)
        return failed(
            "CERTIFICATE-REFUSED",
            f"certificate authority refused {live['metadata']['name']}",
            str(reason),
            "Correct DNS or the account at the certificate authority, then try again.",
        )
    return ready() if state == "valid" else waiting(state or "has no state yet")


RULES: Mapping[str, Rule] = {
    "cluster.postgresql.cnpg.io": _cnpg_cluster,
    "pooler.postgresql.cnpg.io": _cnpg_pooler,
    "database.postgresql.cnpg.io": _cnpg_applied,
    "certificate.cert-manager.io": conditions("Ready", stamped=True),
    "issuer.cert-manager.io": conditions("Ready", stamped=True),
    "clusterissuer.cert-manager.io": conditions("Ready", stamped=True),
    "order.acme.cert-manager.io": _acme_order,
    "prometheus.monitoring.coreos.com": conditions("Available", "Reconciled", stamped=True),
    "alertmanager.monitoring.coreos.com": conditions("Available", "Reconciled", stamped=True),
}

# Configuration that other programs read: nobody writes a status.
WITHOUT_STATUS = frozenset(
    {
        "scheduledbackup.postgresql.cnpg.io",
        "objectstore.barmancloud.cnpg.io",
        "imagecatalog.postgresql.cnpg.io",
        "clusterimagecatalog.postgresql.cnpg.io",
        "ipaddresspool.metallb.io",
        "l2advertisement.metallb.io",
        "bgpadvertisement.metallb.io",
        "bgppeer.metallb.io",
        "bfdprofile.metallb.io",
        "community.metallb.io",
        "servicemonitor.monitoring.coreos.com",
        "podmonitor.monitoring.coreos.com",
        "probe.monitoring.coreos.com",
        "prometheusrule.monitoring.coreos.com",
        "alertmanagerconfig.monitoring.coreos.com",
        "middleware.traefik.io",
        "middlewaretcp.traefik.io",
        "ingressroute.traefik.io",
        "ingressroutetcp.traefik.io",
        "ingressrouteudp.traefik.io",
        "tlsoption.traefik.io",
        "tlsstore.traefik.io",
        "serverstransport.traefik.io",
        "networkpolicy.crd.projectcalico.org",
    }
)


def custom(group_kind: str, live: Mapping[str, Any]) -> Readiness:
    """``group_kind`` as kubectl prints it (``cluster.postgresql.cnpg.io``)."""
    if group_kind in WITHOUT_STATUS:
        return ready()
    if not live.get("status"):
        return waiting("has no status yet: its operator has not looked at it")
    rule = RULES.get(group_kind)
    if rule is not None:
        return rule(live)
    if holds(live, "Ready") or holds(live, "Available"):
        return ready()
    entry = condition(live, "Ready") or condition(live, "Available")
    return waiting(told(entry) if entry else "has no Ready condition yet")
