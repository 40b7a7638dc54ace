"""Each fault of a rehearsal by its name: what the operator reads, how it ends, how it goes on."""

import re
import signal

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.product import Product

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize(
    ("fault", "code", "title", "remedy", "evidence"),
    [
        (
            "image-missing",
            "IMAGE-NOT-FOUND",
            r"\S+ cannot start: image not found",
            "Load the image into the registry",
            r"pod \S+ on node \S+",
        ),
        (
            "crash-loop",
            "CRASH-LOOP",
            r"\S+ starts and ends again and again",
            "kubectl -n example-redis logs",
            "exit code 1",
        ),
    ],
)
def test_a_workload_that_cannot_start_stops_the_run_and_resume_ends_it(
    product: Product, fault: str, code: str, title: str, remedy: str, evidence: str
) -> None:
    ran = product.install("--rehearse-fault", fault, view="--plain", code=1)
    text = " ".join(ran.out.split())
    for part in (r"FAIL +\S", code, title, "Cause: +\\S", re.escape(remedy), evidence):
        assert re.search(part, ran.out) or re.search(part, text), (part, ran.out)
    assert re.search(r"STOP .*\n?.*everything done stays done, --resume goes\s+on", ran.out)
    product.assert_quiet()

    again = product.resume()
    assert again.of("run-started")[0]["resumes"] == 1
    assert again.of("run-finished")
    assert "redis/2-workloads" not in again.steps("step-unchanged")
    assert set(again.steps("step-unchanged")) == set(ran_before(product)) - {"redis/2-workloads"}
    product.assert_quiet()


def test_a_webhook_that_is_down_is_named_and_a_pause_leaves_nothing_half_done(
    product: Product,
) -> None:
    running = product.begin(*product.fast_install("--rehearse-fault", "webhook-down"), view="")
    running.until(lambda out: "webhook validate.policy.rehearsal.local" in " ".join(out.split()))
    product.signal_engine(signal.SIGTERM)
    running.until(lambda out: "ASKED pause" in out)
    product.signal_engine(signal.SIGTERM)
    ran = running.finish()
    assert ran.code == 5
    assert re.search(r"PAUSE ", ran.out)
    assert "--resume goes on" in " ".join(ran.out.split())
    product.assert_quiet()
    assert product.resume().of("run-finished")


def test_a_lost_node_is_named_and_the_run_goes_on_when_it_is_back(product: Product) -> None:
    """A Deployment's pod is made anew on another node; a StatefulSet's waits for its node."""
    running = product.begin(*product.fast_install("--rehearse-fault", "node-lost"), view="")

    def seen(out: str) -> object:
        words = " ".join(out.split())
        return re.search(r"pod redis-\S+ on \S+ is being deleted, due|DONE", words)

    running.until(seen)
    lost = [node for node in product.nodes() if node["status"] != "True"]
    assert [node["reason"] for node in lost] == ["NodeStatusUnknown"]
    look = ("--rehearse", "--rehearse-speed", "10000", "--rehearse-fault", "node-lost", "--plan")
    assert "15 nodes, 14 of them ready" in product.run(*look, view="").out
    with Cluster(product.rehearsal) as cluster:
        cluster.steer("DELETE", "/faults/node-lost")
    assert running.finish().code == 0
    product.assert_quiet()
    assert [node for node in product.nodes() if node["status"] != "True"] == []


@pytest.mark.parametrize("faults", [("too-many-requests",), ("api-restart", "slow-etcd")])
def test_what_passes_by_itself_needs_nobody(product: Product, faults: tuple[str, ...]) -> None:
    ran = product.install(*(word for name in faults for word in ("--rehearse-fault", name)))
    assert ran.of("run-finished")
    if faults == ("too-many-requests",):  # it would refuse more writes than an install has
        assert [write for write in ran.writes if write.status == 429]
        return
    with Cluster(product.rehearsal) as cluster:
        assert cluster.steer("GET", "/state")["faults"] == []
    assert product.install().changes == ()


def test_an_api_that_does_not_answer_is_told_before_anything_is_done(product: Product) -> None:
    ran = product.install("--rehearse-fault", "api-frozen", view="", code=9, seconds=120)
    assert "API-NO-ANSWER" in ran.err
    assert "Remedy:" in ran.err
    assert product.records() == []


def ran_before(product: Product) -> set[str]:
    first = next(r for r in product.records() if r["type"] == "plan-approved")
    return {step["id"] for step in first["data"]["plan"]["steps"]}
