"""What else the cluster knows about a pod that does not start: its events and its last words."""

from typing import Any

from installer.cluster.failures import ApiFailure
from installer.cluster.handle import ClusterHandle
from installer.cluster.readiness_pods import PodProblem
from installer.core.errors import InstallError
from installer.core.objects import Manifest

_EVENTS = 4  # the latest ones
_LOG_LINES = 3


async def failure_of(
    handle: ClusterHandle, workload: Manifest, pod: Manifest | None, problem: PodProblem
) -> InstallError:
    """The problem as the error an operator reads, with all evidence that can be had."""
    subject = pod or workload
    lines = [*problem.evidence, *await events_about(handle, subject)]
    if pod is not None and problem.code in ("CRASH-LOOP", "OUT-OF-MEMORY"):
        lines += await _last_log(handle, pod, problem.container)
    return InstallError(
        problem.code,
        problem.title,
        problem.cause,
        problem.remedy,
        retryable=True,
        evidence=tuple(lines),
    )


async def warnings_about(handle: ClusterHandle, subject: Manifest) -> tuple[Manifest, ...]:
    """Events about an object that are not of type Normal, the latest last. Raises ApiFailure."""
    meta = subject["metadata"]
    listing = await handle.api.list(
        "v1",
        "Event",
        namespace=meta.get("namespace", ""),
        fields=f"involvedObject.uid={meta['uid']}",
    )
    found = [event for event in listing.items if event.get("type") != "Normal"]
    return tuple(sorted(found, key=_event_time))


async def events_about(handle: ClusterHandle, subject: Manifest) -> list[str]:
    """The latest of them, one line each."""
    try:
        found = await warnings_about(handle, subject)
    except ApiFailure as failure:
        return [f"events could not be read: {failure.cause}"]
    return [_event_line(event) for event in found][-_EVENTS:]


def times_seen(event: Manifest) -> int:
    """How often it happened; it grows while the same thing goes on happening."""
    return int((event.get("series") or {}).get("count") or event.get("count") or 1)


def _event_time(event: Manifest) -> str:
    series: dict[str, Any] = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next((time for time in times if time), ""))


def _event_line(event: Manifest) -> str:
    count = times_seen(event)
    often = f" ({count} times)" if count > 1 else ""
    return (
        f"event {_event_time(event)} {event.get('reason', '')}: {event.get('message', '')}{often}"
    )


async def _last_log(handle: ClusterHandle, pod: Manifest, container: str) -> list[str]:
    """The last lines of the run that ended. Redacted by the error that carries them."""
    meta = pod["metadata"]
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/log"
    params = {"container": container, "previous": "true", "tailLines": str(_LOG_LINES)}
    try:
        answer = await handle.api.request("GET", path, params=params)
    except ApiFailure as failure:
        return [f"its log could not be read: {failure.cause}"]
    if answer.status != 200:
        return [f"its log could not be read: HTTP {answer.status}"]
    lines = answer.body.decode("utf-8", "replace").splitlines()[-_LOG_LINES:]
    return [f"log {container}: {line}" for line in lines if line.strip()]
