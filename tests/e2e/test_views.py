"""Views come and go; the engine goes on. Nobody disturbs it by accident."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.product import Product
from tests.e2e.terminal import Terminal

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def held(product: Product) -> Iterator[tuple[Product, Terminal]]:
    """An install, started from a terminal, that waits for a webhook which is down."""
    with Terminal(product, *product.fast_install("--rehearse-fault", "webhook-down")) as terminal:
        terminal.until("webhook validate.policy")
        yield product, terminal


def test_the_engine_outlives_its_views_and_new_ones_see_everything(
    held: tuple[Product, Terminal],
) -> None:
    product, terminal = held
    holder = product.engine()
    assert holder is not None
    terminal.hang_up()
    product.forker.wait(terminal.running.pid, 20)
    terminal.running.ended = True
    product.signal_engine(signal.SIGHUP)

    second = product.begin("--resume")
    second.until(lambda out: "validate.policy" in out)
    second.signal(signal.SIGKILL)
    assert product.forker.wait(second.pid, 20) == -signal.SIGKILL
    second.ended = True

    third = product.begin(*product.fast_install(), view="--plain")
    third.until(lambda out: "validate.policy" in out)
    assert_another_engine_is_refused(product)
    with Cluster(product.rehearsal) as cluster:
        cluster.steer("DELETE", "/faults/webhook-down")
    ran = third.finish()
    assert ran.code == 0
    assert re.search(
        rf"An engine is at work here: process {holder.pid} of \S+ on \S+, since \S+Z\. Attaching\.",
        ran.out,
    )
    for part in ("START install example, run 1", "PLAN  approved by", "DONE"):
        assert part in ran.out
    assert ran.out.count("OK    ") == 4
    assert len({record["seq"] for record in product.records()}) == len(product.records())
    assert [r["type"] for r in product.records()].count("run-started") == 1
    product.assert_quiet()


def assert_another_engine_is_refused(product: Product) -> None:
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "installer.wiring.engine_main"),
            *(str(product.directory), "--kind", "install"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 6
    assert "LOCKED" in ended.stderr
    assert re.search(r"process \d+ of \S+ on \S+, since ", ended.stderr)


def test_settings_that_change_before_the_start_need_a_new_look(product: Product) -> None:
    words = [word for word in product.fast_install() if word != "--yes"]
    with Terminal(product, *words) as terminal:
        terminal.until("Type yes to go on: ")
        copy = product.directory / "settings.yaml"
        copy.write_text(copy.read_text().replace("Example Organisation", "Another One"))
        settings = copy.read_text()
        copy.write_text(re.sub(r"row: .*", 'row: "1k"', settings))
        terminal.type("yes")
        ran = terminal.finish()
    assert ran.code == 4
    assert "PLAN-CHANGED" in ran.out
    assert "the plan is not the one that was shown" in ran.out
    assert re.search(r"step redis/2-workloads changed: input hash", ran.out)
    assert ran.changes == ()
    assert product.engine() is None


def all_run(cluster: Cluster) -> bool:
    statuses = [
        status
        for pod in cluster.get("/api/v1/pods")["items"]
        for status in pod["status"].get("containerStatuses", ())
    ]
    return bool(statuses) and all("running" in status["state"] for status in statuses)


def test_a_failure_is_answered_on_the_terminal(product: Product) -> None:
    words = product.fast_install("--rehearse-fault", "crash-loop")
    asked = [word for word in words if word != "--yes"]
    with Terminal(product, *asked, environment={"TERM": "dumb", "NO_COLOR": "1"}) as terminal:
        terminal.until("Type yes to go on: ")
        terminal.type("yes")
        terminal.until("r try again; a stop here, everything done stays done: ")
        terminal.type("x")
        terminal.until("r try again; a stop here, everything done stays done: ")
        terminal.type("s")
        terminal.until("Not done: ")
        terminal.until("r try again; a stop here, everything done stays done: ")
        with Cluster(product.rehearsal) as cluster:
            cluster.steer("DELETE", "/faults/crash-loop")
            product.until(lambda: all_run(cluster))  # their next start comes when it comes
        terminal.type("r")
        ran = terminal.finish()
    assert ran.code == 0
    assert "ASKED retry Redis: workloads by " in ran.out
    assert "(attempt 2)" in ran.out
    assert "\x1b" not in ran.out  # a dumb terminal would show the codes
    product.assert_quiet()


def test_another_word_than_yes_is_no(product: Product) -> None:
    words = [word for word in product.fast_install() if word != "--yes"]
    with Terminal(product, *words) as terminal:
        terminal.until("Type yes to go on: ")
        terminal.type("YES!")
        ran = terminal.finish()
    assert ran.code == 4
    assert "Nothing was changed." in ran.out
    assert ran.writes == ()
    assert product.records() == []
