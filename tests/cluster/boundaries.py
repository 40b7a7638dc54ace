"""The engine killed at a boundary, then resumed: the end must be that of a run without a kill."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from tests.cluster.ends import differences, end_of, left_of
from tests.cluster.installs import Operator, Ran, operator
from tests.cluster.wire import Wire
from tests.lab.control_plane import ControlPlane

# Installs at once; each is waiting for the cluster half of its time.
_AT_ONCE = 2
_numbers = count(1)


@dataclass(frozen=True)
class Model:
    """The uninterrupted runs: their ends and how many boundaries they have."""

    install: dict[str, Any]
    objects: int
    waves: int
    install_records: int
    install_calls: int
    uninstall_records: int
    uninstall_calls: int


@dataclass(frozen=True)
class Outcome:
    """One boundary: whether the engine was really killed there, and what was wrong then."""

    boundary: str
    killed: bool
    problems: tuple[str, ...]


@contextmanager
def fresh_operator(cluster: ControlPlane, wire: Wire) -> Iterator[Operator]:
    with operator(cluster, wire, f"kill{next(_numbers):03d}") as desk:
        yield desk


def calls_of(ran: Ran, desk: Operator) -> int:
    """Mutations that passed the gate: all but those of the lock, which precede the steps."""
    own = (
        f"lease.coordination.k8s.io/{desk.namespaces[1]}/matrix-install",
        f"namespace/-/{desk.namespaces[1]}",
    )
    return sum(1 for request in ran.mutations if request.target not in own)


def measure(cluster: ControlPlane, wire: Wire) -> Model:
    """Runs an install and `uninstall destroy` without a kill."""
    with fresh_operator(cluster, wire) as desk:
        first = desk.install()
        desk.assert_quiet()
        end = end_of(desk)
        last = desk.uninstall("destroy")
        assert not left_of(desk)
        plan = first.plan["plan"]
        return Model(
            end,
            sum(len(step["targets"]) for step in plan["steps"]),
            len(plan["steps"]),
            len(first.events),
            calls_of(first, desk),
            len(last.events),
            calls_of(last, desk) + 1,  # the control namespace is the last one deleted
        )


def killed_install(desk: Operator, boundary: str, model: Model) -> Outcome:
    """An install killed at the boundary and resumed; the install stands afterwards."""
    first = desk.install(die_at=boundary)
    if first.killed:
        desk.resume()
    desk.assert_quiet()
    return Outcome(boundary, first.killed, tuple(differences(model.install, end_of(desk))))


def killed_uninstall(desk: Operator, boundary: str) -> Outcome:
    """The standing install destroyed with a kill at the boundary, then resumed."""
    first = desk.uninstall("destroy", die_at=boundary)
    if first.killed:
        desk.resume()
    assert desk.engine() is None
    return Outcome(f"uninstall {boundary}", first.killed, tuple(left_of(desk)))


def run_all(
    cluster: ControlPlane, wire: Wire, model: Model, boundaries: Sequence[tuple[str, str]]
) -> list[Outcome]:
    """Each pair is a boundary of an install and one of its uninstall, either may be empty."""

    def one(pair: tuple[str, str]) -> list[Outcome]:
        at_install, at_uninstall = pair
        with fresh_operator(cluster, wire) as desk:
            outcomes = [killed_install(desk, at_install, model)] if at_install else []
            if at_uninstall:
                if not at_install:
                    desk.install()
                outcomes.append(killed_uninstall(desk, at_uninstall))
            return outcomes

    return _side_by_side(one, boundaries)


def _side_by_side(
    one: Callable[[tuple[str, str]], list[Outcome]], boundaries: Sequence[tuple[str, str]]
) -> list[Outcome]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [outcome for found in pool.map(one, boundaries) for outcome in found]
