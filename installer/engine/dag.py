"""Steps as a directed acyclic graph, checked before the first write."""

from collections.abc import Sequence

from installer.core.errors import ExitCode, InstallError
from installer.core.step import PlannedStep


def ordered(steps: Sequence[PlannedStep]) -> tuple[PlannedStep, ...]:
    """Topological order; among steps that are free at once, the given order.

    Raises InstallError PLAN-BROKEN: an id twice, a need that is no step, an output consumed from
    a step that is not waited for, or a cycle (named).
    """
    by_id: dict[str, PlannedStep] = {}
    for step in steps:
        if step.id in by_id:
            raise _broken(f"two steps have the id {step.id}")
        by_id[step.id] = step
    for step in steps:
        for need in step.needs:
            if need not in by_id:
                raise _broken(f"{step.id} needs {need}, which is no step of the plan")
    order = _sorted(steps)
    if len(order) < len(steps):
        raise _broken(f"steps wait for each other: {' -> '.join(_cycle(by_id, order))}")
    _check_consumed(order)
    return tuple(order)


def _sorted(steps: Sequence[PlannedStep]) -> list[PlannedStep]:
    done: set[str] = set()
    order: list[PlannedStep] = []
    left = list(steps)
    while left:
        free = [step for step in left if done.issuperset(step.needs)]
        if not free:
            break
        order += free
        done.update(step.id for step in free)
        left = [step for step in left if step.id not in done]
    return order


def _cycle(by_id: dict[str, PlannedStep], order: Sequence[PlannedStep]) -> list[str]:
    """One cycle among the steps that could not be ordered, its first id repeated at the end."""
    done = {step.id for step in order}
    name = next(name for name in by_id if name not in done)
    path: list[str] = []
    while name not in path:
        path.append(name)
        name = next(need for need in by_id[name].needs if need not in done)
    return [*path[path.index(name) :], name]


def _check_consumed(order: Sequence[PlannedStep]) -> None:
    before: dict[str, set[str]] = {}
    for step in order:
        before[step.id] = set(step.needs).union(*(before[need] for need in step.needs))
        for reference in step.consumes:
            source, mark, output = reference.rpartition(":")
            if not mark or not output or source not in before[step.id]:
                raise _broken(f"{step.id} consumes {reference}, which it does not wait for")


def _broken(cause: str) -> InstallError:
    return InstallError(
        "PLAN-BROKEN",
        "The plan contradicts itself",
        cause,
        "This is a defect of the program, not of the settings: please report it.",
        exit_code=ExitCode.INTERNAL,
    )
