"""What built-in admission makes of pods: accounts, priorities, limits, quotas, pod security."""

import asyncio

import httpx

from tests.contract.client import Client, Json, collection, give_up_at, path_of, refused
from tests.contract.objects import deployment, pod_template

ENFORCE = "pod-security.kubernetes.io/enforce"


def _pod(namespace: str, name: str = "lonely", **spec: object) -> Json:
    template = pod_template(name)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**template["spec"], **spec},
    }


async def _create(client: Client, pod: Json) -> httpx.Response:
    return await client.request("POST", collection("Pod", client.namespace), pod)


async def pods_need_their_account(client: Client) -> None:
    """A pod whose account is not there is forbidden."""
    answer = await _create(client, _pod(client.namespace, serviceAccountName="nobody"))
    message = refused(answer, 403, "Forbidden")
    assert message == (
        f'pods "lonely" is forbidden: error looking up service account '
        f'{client.namespace}/nobody: serviceaccount "nobody" not found'
    )


async def pods_need_their_priority_class(client: Client) -> None:
    """A pod of an unknown priority is forbidden; a known one becomes a number."""
    answer = await _create(client, _pod(client.namespace, priorityClassName="contract-none"))
    message = refused(answer, 403, "Forbidden")
    assert message == (
        'pods "lonely" is forbidden: no PriorityClass with name contract-none was found'
    )
    made = await client.request(
        "POST",
        collection("Pod", client.namespace),
        _pod(client.namespace, priorityClassName="system-cluster-critical"),
        dryRun="All",
    )
    assert made.json()["spec"]["priority"] == 2000000000


async def limit_ranges_complete_and_refuse(client: Client) -> None:
    """Defaults for what a container leaves out; more than the maximum is forbidden."""
    limits = {
        "type": "Container",
        "default": {"cpu": "200m"},
        "defaultRequest": {"cpu": "50m", "memory": "8Mi"},
        "max": {"memory": "32Mi"},
    }
    await client.applied(
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "limits", "namespace": client.namespace},
            "spec": {"limits": [limits]},
        }
    )
    completed = await _completed(client, _pod(client.namespace))
    assert completed == {
        "requests": {"cpu": "10m", "memory": "16Mi"},
        "limits": {"cpu": "200m", "memory": "16Mi"},
    }
    large = _pod(client.namespace, "large")
    large["spec"]["containers"][0]["resources"] = {"limits": {"memory": "64Mi", "cpu": "100m"}}
    message = refused(await _create(client, large), 403, "Forbidden")
    assert message == (
        'pods "large" is forbidden: maximum memory usage per Container is 32Mi, but limit is 64Mi'
    )


async def _completed(client: Client, pod: Json) -> Json:
    """The resources that a pod gets, once admission knows of the limits."""
    deadline = give_up_at()
    while True:
        answer = await client.request(
            "POST", collection("Pod", client.namespace), pod, dryRun="All"
        )
        assert answer.status_code == 201, answer.text
        found: Json = answer.json()["spec"]["containers"][0]["resources"]
        if "cpu" in found["limits"] or asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(0.05)


async def quotas_count_and_refuse(client: Client) -> None:
    """What goes over a quota is forbidden with the sums; a controller tells it in its status."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "budget", "namespace": client.namespace},
        "spec": {"hard": {"pods": "2", "requests.memory": "40Mi"}},
    }
    await client.applied(quota)
    path = f"{collection('ResourceQuota', client.namespace)}/budget"
    await client.until(path, lambda obj: bool(((obj or {}).get("status") or {}).get("hard")))
    wanted = deployment(client.namespace, replicas=2)
    await client.applied(wanted)
    await client.until(
        path, lambda obj: (obj or {})["status"].get("used", {}).get("requests.memory") == "32Mi"
    )
    message = refused(await _create(client, _pod(client.namespace)), 403, "Forbidden")
    assert message == (
        'pods "lonely" is forbidden: exceeded quota: budget, '
        "requested: pods=1,requests.memory=16Mi, used: pods=2,requests.memory=32Mi, "
        "limited: pods=2,requests.memory=40Mi"
    )
    bare = _pod(client.namespace, "bare")
    bare["spec"]["containers"][0]["resources"] = {}
    message = refused(await _create(client, bare), 403, "Forbidden")
    assert message == (
        'pods "bare" is forbidden: failed quota: budget: must specify requests.memory for: app'
    )
    more = deployment(client.namespace, "more")
    await client.applied(more)
    failed = await client.until(path_of(more), _replica_failure)
    assert failed is not None


def _replica_failure(obj: Json | None) -> bool:
    return any(
        item["type"] == "ReplicaFailure"
        and item["status"] == "True"
        and item["reason"] == "FailedCreate"
        and "exceeded quota: budget" in item["message"]
        for item in ((obj or {}).get("status") or {}).get("conditions") or []
    )


async def pod_security_names_each_violation(client: Client) -> None:
    """`restricted` forbids what is not restricted enough, all of it told at once."""
    space = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": client.namespace, "labels": {ENFORCE: "restricted"}},
    }
    await client.applied(space)
    loose = _pod(client.namespace, hostNetwork=True)
    loose["spec"]["volumes"] = [{"name": "host", "hostPath": {"path": "/tmp"}}]
    loose["spec"]["containers"][0]["securityContext"] = {
        "privileged": True,
        "capabilities": {"add": ["NET_ADMIN"]},
        "runAsUser": 0,
    }
    message = refused(await _create(client, loose), 403, "Forbidden")
    assert message == (
        'pods "lonely" is forbidden: violates PodSecurity "restricted:latest": '
        "host namespaces (hostNetwork=true), "
        'hostPort (container "app" uses hostPort 8080), '
        'privileged (container "app" must not set securityContext.privileged=true), '
        "allowPrivilegeEscalation != false "
        '(container "app" must set securityContext.allowPrivilegeEscalation=false), '
        "unrestricted capabilities "
        '(container "app" must set securityContext.capabilities.drop=["ALL"]; '
        'container "app" must not include "NET_ADMIN" in securityContext.capabilities.add), '
        'restricted volume types (volume "host" uses restricted volume type "hostPath"), '
        "runAsNonRoot != true "
        '(pod or container "app" must set securityContext.runAsNonRoot=true), '
        'runAsUser=0 (container "app" must not set runAsUser=0), '
        'seccompProfile (pod or container "app" must set '
        'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )


async def pod_security_lets_in_what_is_tight(client: Client) -> None:
    """A pod that keeps to `restricted` is created."""
    space = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": client.namespace, "labels": {ENFORCE: "restricted"}},
    }
    await client.applied(space)
    tight = _pod(client.namespace, "tight")
    tight["spec"]["securityContext"] = {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    tight["spec"]["containers"][0]["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    answer = await _create(client, tight)
    assert answer.status_code == 201, answer.text


CASES = (
    pods_need_their_account,
    pods_need_their_priority_class,
    limit_ranges_complete_and_refuse,
    quotas_count_and_refuse,
    pod_security_names_each_violation,
    pod_security_lets_in_what_is_tight,
)
