"""The engine killed (SIGKILL) at boundaries spread over a run, then `--resume`.

All boundaries are tried in tests/deep.
"""

import pytest

from tests.cluster.boundaries import Model, measure, run_all
from tests.cluster.wire import Wire
from tests.lab.control_plane import ControlPlane

pytestmark = pytest.mark.timeout(600)


def spread(model: Model) -> list[tuple[str, str]]:
    """Thirteen boundaries of an install, and two of uninstalls that follow."""
    records, calls = model.install_records, model.install_calls
    return [
        ("record:1", ""),
        ("record:2", f"call:{model.uninstall_calls // 2}:before"),
        ("record:3", ""),
        (f"record:{records // 3}", ""),
        (f"record:{records // 2}", ""),
        (f"record:{records - 1}", ""),
        (f"record:{records}", f"call:{model.uninstall_calls}:after"),
        ("call:1:before", ""),
        ("call:2:after", ""),
        (f"call:{calls // 3}:before", ""),
        (f"call:{calls // 2}:after", ""),
        (f"call:{calls}:before", ""),
        (f"call:{calls}:after", ""),
    ]


def test_a_killed_run_resumes_to_the_same_end(control_plane: ControlPlane, wire: Wire) -> None:
    model = measure(control_plane, wire)
    assert model.install_calls == model.objects + 2 * model.waves, "all once; inventory twice"
    outcomes = run_all(control_plane, wire, model, spread(model))
    wrong = {o.boundary: o.problems for o in outcomes if o.problems}
    assert not wrong
    assert sum(o.killed for o in outcomes) >= 14
