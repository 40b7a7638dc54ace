"""Tells who watches a run that a write is sent again, and why."""

from collections.abc import Callable

from installer.cluster.failures import ApiFailure
from installer.core.objects import ObjectRef
from installer.core.step import StepContext


def sent_again(ctx: StepContext, ref: ObjectRef) -> Callable[[ApiFailure, float], None]:
    """For ``RetryBudget.run(on_wait=...)``: the step waits for whatever refused the write."""

    def told(failure: ApiFailure, wait: float) -> None:
        webhook = failure.verdict.webhook
        what = f"webhook {webhook}" if webhook else "the API"
        ctx.waiting(f"{what} to answer", f"{ref}: {failure.cause}; again in {wait:.1f} s")

    return told
