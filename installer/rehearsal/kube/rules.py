"""The rules of a real API server that the simulated one keeps, one switch each.

They are all on. The contract suite is proven by switching them off one at a time: each must turn
at least one of its cases red.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """One attribute a rule; False breaks it."""

    conflicts_are_told: bool = True
    unknown_fields_are_refused: bool = True
    unknown_api_is_plain_404: bool = True
    missing_namespace_is_404: bool = True
    immutable_fields_hold: bool = True
    terminating_namespace_refuses: bool = True
    dead_webhook_fails_the_call: bool = True
    overload_is_429_with_retry_after: bool = True
    shutdown_drops_connections: bool = True
    frozen_api_is_silent: bool = True
    slow_write_succeeds: bool = True
    old_watch_is_410_event: bool = True
    large_config_map_is_refused: bool = True
    no_op_keeps_version: bool = True
    crd_opens_its_api: bool = True
    writes_survive_a_crash: bool = True
    dry_run_leaves_nothing: bool = True
    uid_precondition_holds: bool = True
    stale_update_is_refused: bool = True
    create_of_existing_is_refused: bool = True
    list_pages_hold_their_version: bool = True
    watch_sends_bookmarks: bool = True
