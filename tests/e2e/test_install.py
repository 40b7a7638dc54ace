"""Install, again, after edits: what is planned is done, and nothing else."""

from tests.e2e.product import Product


def test_a_second_run_changes_nothing_and_says_so(product: Product) -> None:
    first = product.install()
    assert {line["type"] for line in first.lines} >= {"hello", "plan", "event", "end"}
    planned = {target for step in first.plan["plan"]["steps"] for target in step["targets"]}
    done = {target for step in first.of("step-done") for target in step["changed"]}
    assert done <= planned
    assert done == set(first.plan["survey"]["new"])
    product.assert_quiet()

    second = product.install(view="--plain")
    assert "nothing to change" in second.out
    assert "Difference to what is there\n  nothing to change" in second.out
    assert second.changes == ()
    product.assert_quiet()
