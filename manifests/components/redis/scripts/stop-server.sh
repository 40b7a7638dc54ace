#!/bin/sh
# Before this pod's server is stopped: if it is the master, another one takes over first.
. "$(dirname "$0")/common.sh"

with_sentinels || exit 0
[ "$(role_of 127.0.0.1)" = master ] || exit 0
request_failover || exit 0
successor=$(await_successor 15) || exit 0
# Sentinels let some seconds pass before they turn a former master into a replica; until then its
# clients would write to it in vain.
ask_server 127.0.0.1 replicaof "$successor" "$server_port"
