"""Objects of a name that we want and that are not ours: refused, with their owner in words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from installer.cluster.foreign import claim_on
from installer.cluster.owners import managers
from installer.core.errors import ExitCode, InstallError
from installer.core.objects import ANNOTATION_OWNER, Manifest, ObjectRef


@dataclass(frozen=True)
class ForeignObject:
    """``owner`` completes "It belongs to ..."."""

    ref: ObjectRef
    owner: str
    evidence: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        return f"{self.ref} belongs to {self.owner}"


def is_ours(live: Mapping[str, Any], install_uid: str) -> bool:
    annotations = live["metadata"].get("annotations") or {}
    return bool(annotations.get(ANNOTATION_OWNER) == install_uid)


def foreign(live: Manifest, install_uid: str) -> ForeignObject:
    """Call it for an object that is not ours."""
    meta = live["metadata"]
    claim = claim_on(live, install_uid=install_uid)
    evidence = [f"created {meta.get('creationTimestamp', '?')}, uid {meta.get('uid', '?')}"]
    evidence += [f"written by {owner}" for owner in managers(live)][-3:]
    words = claim.words if claim is not None else "this install"
    return ForeignObject(ObjectRef.of(live), words, tuple(evidence))


def refusal(problems: Iterable[ForeignObject]) -> InstallError:
    """FOREIGN-OWNER for all of them at once."""
    found = tuple(problems)
    first, more = found[0], len(found) - 1
    others = f" and {more} more" if more else ""
    return InstallError(
        "FOREIGN-OWNER",
        f"{first.ref}{others} already exist and are not ours",
        "; ".join(problem.line for problem in found[:10]),
        "Choose another install id, remove them, or accept each by its name to adopt it.",
        evidence=tuple(line for problem in found[:10] for line in problem.evidence),
        exit_code=ExitCode.REFUSED,
    )
