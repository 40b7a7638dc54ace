"""Install, again, after edits: what is planned is done, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.product import Product, Ran

pytestmark = pytest.mark.timeout(240)
DOCS = Path(__file__).parents[2] / "docs"


def test_a_second_run_changes_nothing_and_says_so(product: Product) -> None:
    first = product.install()
    planned = {target for step in first.plan["plan"]["steps"] for target in step["targets"]}
    done = {target for step in first.of("step-done") for target in step["changed"]}
    assert done == set(first.plan["survey"]["new"]) <= planned
    written = {write for write in first.writes if write.kind != "configmap" and write.name}
    assert all(write.is_in(planned | set(first.plan["plan"]["standing"])) for write in written)
    assert_documented(first)
    product.assert_quiet()

    second = product.install(view="--plain")
    assert re.search(r"DONE +nothing to change", second.out)
    assert "Difference to what is there\n  nothing to change" in second.out
    assert "this cluster: fits" in second.out
    assert "REHEARSAL" in second.out.splitlines()[0]
    plan = second.out[: second.out.index("START")].splitlines()[:-1]
    assert max(len(line) for line in plan if str(product.directory) not in line) <= 80
    assert second.changes == ()
    product.assert_quiet()


def test_an_edit_is_planned_as_what_it_changes_and_only_that_runs(installed: Product) -> None:
    owner = {"metadata": {"annotations": {"example.org/owner": "messaging"}}}
    installed.settings["components"] = {
        "redis": {"patches": {"service/redis-synapse-proxy": owner}}
    }
    installed.write_settings()
    ran = installed.install()
    changed = [change["target"] for change in ran.plan["survey"]["changed"]]
    assert changed == ["service/example-redis/redis-synapse-proxy"]
    assert ran.steps("step-done") == ("redis/1-configuration",)
    written = {write.name for write in ran.changes if write.kind == "service"}
    assert written == {"redis-synapse-proxy"}


def test_what_others_changed_is_shown_with_who_and_set_back(installed: Product) -> None:
    place = ("deployments.apps", "example-redis", "redis-synapse-proxy")
    with Cluster(installed.rehearsal) as cluster:
        collection = "/apis/apps/v1/namespaces/example-redis/deployments"
        live = cluster.get(f"{collection}/redis-synapse-proxy")
        live["spec"]["replicas"] = 1
        cluster.replace(live, collection, by="kubectl-edit")
    assert installed.objects()[place]["spec"]["replicas"] == 1
    ran = installed.install(view="--plain")
    assert "change: deployment.apps/example-redis/redis-synapse-proxy" in ran.out
    assert re.search(r"kubectl-edit", ran.out[: ran.out.index("START")])
    assert "DRIFT Redis: workloads" in ran.out
    assert installed.objects()[place]["spec"]["replicas"] == 2


def assert_documented(ran: Ran) -> None:
    """Every line and field of ``--json`` stands in docs/json.md, and every line's type occurs."""
    text = (DOCS / "json.md").read_text()
    lines = _table(text, "| `type` |")
    events = _table(text, "| `event` | `data`")
    for line in ran.lines:
        assert line["type"] in lines, line
        assert_fields(line, lines[line["type"]] | {"type"})
        if line["type"] == "event":
            assert_fields(line["data"], events[line["event"]])
    step, survey = ran.plan["plan"]["steps"][0], ran.plan["survey"]
    for data in (ran.plan["plan"], step, survey):
        assert not [name for name in data if f"`{name}`" not in text], data
    assert {"hello", "plan", "event", "end"} <= {line["type"] for line in ran.lines}
    assert [json.loads(line) for line in ran.out.splitlines()] == list(ran.lines)


def assert_fields(data: dict[str, Any], documented: set[str]) -> None:
    assert set(data) == documented, (sorted(data), sorted(documented))


def _table(text: str, head: str) -> dict[str, set[str]]:
    """First column to the names in backticks of the last, without those in brackets."""
    rows = {}
    for row in text[text.index(head) :].splitlines()[2:]:
        if not row.startswith("|"):
            break
        cells = row.strip("|").split("|")
        plain = re.sub(r"\([^)]*\)|:.*", "", cells[-1])
        if ":" in cells[-1] and "problem" in cells[0]:
            plain = "`error`"
        rows[cells[0].strip(" `")] = set(re.findall(r"`([^`]+)`", plain))
    return rows
