"""The contract: every case, to be run against each far end. No case knows which one it has."""

from collections.abc import Awaitable, Callable

from tests.contract import (
    cases_admission,
    cases_apply,
    cases_controllers,
    cases_extension,
    cases_outage,
    cases_refusals,
    cases_watch,
)
from tests.contract.client import Client
from tests.contract.far_end import FarEnd

Case = Callable[[Client], Awaitable[None]]

CASES: dict[str, Case] = {
    case.__name__: case
    for part in (
        cases_apply,
        cases_refusals,
        cases_watch,
        cases_outage,
        cases_controllers,
        cases_admission,
        cases_extension,
    )
    for case in part.CASES
}


async def run_case(case: Case, far_end: FarEnd) -> None:
    """Run one case in a namespace of its own, which is deleted afterwards."""
    client = Client(far_end)
    try:
        await client.make_namespace()
        await case(client)
        space = f"/api/v1/namespaces/{client.namespace}"
        await client.request("DELETE", space)
    finally:
        await client.close()
