"""Every boundary of an install and of `uninstall destroy` on a real control plane.

About an hour on two cores. The figure is printed.
"""

from collections.abc import Iterator
from itertools import zip_longest

import pytest

from tests.cluster.boundaries import Model, Outcome, measure, run_all
from tests.cluster.wire import Wire
from tests.lab.control_plane import ControlPlane

# Waiting steps are recorded when they wait, so that a run may have a few records more.
MORE_RECORDS = 4


def names(records: int, calls: int) -> Iterator[str]:
    for number in range(1, records + MORE_RECORDS + 1):
        yield f"record:{number}"
    for number in range(1, calls + 1):
        yield f"call:{number}:before"
        yield f"call:{number}:after"


def all_boundaries(model: Model) -> list[tuple[str, str]]:
    """Each boundary of an install, each with one of the uninstall that follows."""
    installs = names(model.install_records, model.install_calls)
    uninstalls = names(model.uninstall_records, model.uninstall_calls)
    return [pair for pair in zip_longest(installs, uninstalls, fillvalue="") if pair[0] or pair[1]]


def figure(outcomes: list[Outcome]) -> str:
    killed = [outcome for outcome in outcomes if outcome.killed]
    removals = [outcome for outcome in killed if outcome.boundary.startswith("uninstall")]
    calls = [outcome for outcome in killed if "call" in outcome.boundary]
    return (
        f"{len(killed)} boundaries ({len(killed) - len(removals)} of an install, {len(removals)} "
        f"of an uninstall; {len(calls)} at calls, {len(killed) - len(calls)} at records)"
    )


@pytest.mark.timeout(4 * 3600)
def test_every_boundary_resumes_to_the_same_end(
    control_plane: ControlPlane, wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    model = measure(control_plane, wire)
    outcomes = run_all(control_plane, wire, model, all_boundaries(model))
    with capsys.disabled():
        print(f"\n{figure(outcomes)}")  # noqa: T201 - the figure is what one runs it for
    assert not {o.boundary: o.problems for o in outcomes if o.problems}
    killed = {outcome.boundary for outcome in outcomes if outcome.killed}
    expected = 2 * (model.install_calls + model.uninstall_calls)
    assert len([name for name in killed if "call" in name]) == expected
