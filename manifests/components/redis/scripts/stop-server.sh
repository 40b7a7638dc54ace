#!/bin/sh
# Before this pod's server is stopped: if it is the master, another one takes over first.
. "$(dirname "$0")/common.sh"

with_sentinels || exit 0
[ "$(role_of 127.0.0.1)" = master ] || exit 0
request_failover || exit 0
successor=$(await_successor 15) || exit 0
[ "$(role_of 127.0.0.1)" != master ] || step_down_for "$successor"
