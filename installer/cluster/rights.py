"""Asks the API which of the rights that a run needs are missing, before it begins."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from installer.cluster.client import ApiClient
from installer.cluster.concurrency import AdaptiveLimit, RetryBudget
from installer.cluster.failures import CallContext
from installer.core.objects import Manifest

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
AT_ONCE = 8  # at first: an overloaded server counts reviews as writes, and is then asked slower
PATIENCE = 60.0  # seconds for which one review is tried again
LONGEST_WAIT = 2.0  # seconds: somebody waits for the plan


@dataclass(frozen=True, order=True)
class Right:
    """One thing that must be allowed, as RBAC writes it.

    ``resource`` is the plural, with ``/SUBRESOURCE`` if one is meant; ``namespace`` empty means
    all of them, or a kind without.
    """

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        named = f" {self.name}" if self.name else ""
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.verb} {what}{named}{where}"

    def review(self) -> Manifest:
        resource, _, subresource = self.resource.partition("/")
        attributes = {
            "verb": self.verb,
            "group": self.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": self.namespace,
            "name": self.name,
        }
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {k: v for k, v in attributes.items() if v}},
        }


@dataclass(frozen=True)
class MissingRight:
    """``reason`` is what the authoriser said, often nothing."""

    right: Right
    reason: str


async def missing_rights(client: ApiClient, rights: Iterable[Right]) -> tuple[MissingRight, ...]:
    """Those of ``rights`` that we do not have, sorted, each once.

    Nothing is written: an access review is answered, not stored. Raises ApiFailure.
    """
    limit = AdaptiveLimit(AT_ONCE)
    budget = RetryBudget(client.clock, seconds=PATIENCE, cap=LONGEST_WAIT)

    async def ask(right: Right) -> MissingRight | None:
        async def once() -> Manifest:
            async with limit.slot():
                return await _review(client, right)

        status = await budget.run(once)
        if status.get("allowed"):
            return None
        reason = status.get("reason") or status.get("evaluationError") or ""
        return MissingRight(right, str(reason))

    answers = await asyncio.gather(*(ask(right) for right in sorted(set(rights))))
    return tuple(answer for answer in answers if answer is not None)


async def _review(client: ApiClient, right: Right) -> Manifest:
    context = CallContext("create", f"the access review of {right}")
    answer = await client.ask("POST", REVIEWS, right.review(), context)
    status = answer.get("status")
    return dict(status) if isinstance(status, dict) else {}
