"""Each rule of the simulated server is held by the contract: without it a case goes red.

The rows are those of the API's error shapes that the installer's classifier is written to, and
the further promises that its engine relies on.
"""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from installer.rehearsal.kube.rules import Rules
from tests.contract import client
from tests.contract.cases import CASES, run_case
from tests.contract.far_end import SimulatedFarEnd

# Seconds; a watch must be allowed its own length.
PATIENCE = {"watch_sends_bookmarks": 6.0, "old_watch_is_410_event": 6.0}

CASE = re.compile(r"^async def ([a-z]\w+)\(client: Client\) -> None:", re.MULTILINE)

RED_WITHOUT = {
    "conflicts_are_told": "conflict_names_field_and_manager",
    "unknown_fields_are_refused": "unknown_field_under_apply",
    "unknown_api_is_plain_404": "unknown_api_is_plain_text",
    "missing_namespace_is_404": "missing_namespace",
    "immutable_fields_hold": "immutable_fields",
    "terminating_namespace_refuses": "terminating_namespace",
    "dead_webhook_fails_the_call": "webhook_down",
    "overload_is_429_with_retry_after": "overload",
    "shutdown_drops_connections": "restart_in_mid_wave",
    "frozen_api_is_silent": "frozen_api",
    "slow_write_succeeds": "frozen_store",
    "old_watch_is_410_event": "too_old_a_watch",
    "large_config_map_is_refused": "too_large_config_map",
    "no_op_keeps_version": "no_op_keeps_version",
    "crd_opens_its_api": "definition_then_resource",
    "writes_survive_a_crash": "restart_in_mid_wave",
    "dry_run_leaves_nothing": "dry_run_leaves_nothing",
    "uid_precondition_holds": "delete_by_uid",
    "stale_update_is_refused": "lease_race_and_stale_update",
    "create_of_existing_is_refused": "lease_race_and_stale_update",
    "list_pages_hold_their_version": "pages_hold_their_version",
    "watch_sends_bookmarks": "watch_with_bookmarks",
}


def test_every_rule_has_its_case() -> None:
    assert set(RED_WITHOUT) == {rule.name for rule in fields(Rules)}
    assert set(RED_WITHOUT.values()) <= set(CASES)


def test_every_file_of_cases_is_run() -> None:
    here = Path(__file__).parent
    written = {
        name
        for path in here.glob("cases_*.py")
        for name in re.findall(
            r"^async def ([a-z]\w+)\(client: Client\) -> None:", path.read_text(), re.M
        )
    }
    assert set(CASES) == written


def first_of(error: BaseException) -> BaseException:
    """What a case in a task group failed with."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


@pytest.mark.parametrize("rule", RED_WITHOUT)
async def test_case_goes_red_without_rule(
    rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PATIENCE_SECONDS", PATIENCE.get(rule, 2.0))
    weakened = SimulatedFarEnd(tmp_path, Rules(**{rule: False}))
    await weakened.open()
    try:
        with pytest.raises((AssertionError, pytest.fail.Exception, ExceptionGroup)) as red:
            await run_case(CASES[RED_WITHOUT[rule]], weakened)
        assert isinstance(first_of(red.value), AssertionError | pytest.fail.Exception)
    finally:
        await weakened.kill()
