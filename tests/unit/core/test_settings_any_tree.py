"""Whatever is done to valid settings: they are accepted, or refused with findings."""

import copy
from typing import Any

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from installer.core.settings_validation import check_settings, problem_of
from tests.unit.core.settings_samples import MODEL
from tests.unit.core.settings_strategies import settings_trees

ANYTHING: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 3.5, "", "x", "secret:a", [], {}, ["x"], {"a": 1}, "10.0.0.0/8",
     "10.10.0.1", [1, 2], {"name": {}}, "\u00fc", "A" * 300, 1e308, 10**17]
)  # fmt: skip


def places_in(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values below the tree."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(tree, dict | list):
        inner = list(tree.items() if isinstance(tree, dict) else enumerate(tree))
    found = []
    for key, value in inner:
        found += [(*path, key), *places_in(value, (*path, key))]
    return found


@hypothesis.settings(max_examples=150)
@given(st.data())
def test_any_tree_is_accepted_or_refused_with_findings(data: st.DataObject) -> None:
    tree: Any = data.draw(settings_trees())
    tree["components"] = {"cache": {"password": "secret:x", "labels": {"a": "b"}}}
    for _ in range(data.draw(st.integers(1, 4))):
        *around, last = data.draw(st.sampled_from(places_in(tree)))
        holder = tree
        for key in around:
            holder = holder[key]
        if data.draw(st.booleans()):
            holder[last] = copy.deepcopy(data.draw(ANYTHING))
        elif isinstance(holder, dict):
            holder[data.draw(st.sampled_from(["zz", "nam", "source", "rows"]))] = holder.pop(last)
    checked = check_settings(MODEL, tree)
    assert (checked.settings is None) == bool(checked.findings)
    for finding in checked.findings:
        assert str(problem_of(finding, "settings.yaml", tree))
