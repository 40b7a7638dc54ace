#!/bin/sh
# Called by this pod's Sentinel when the master changed (client-reconfig-script). Arguments: master
# name, role of the Sentinel, state, old host, old port, new host, new port.
#
# If the old master is this pod's server, it becomes a replica at once.
. "$(dirname "$0")/common.sh"

[ "$4" = "$self" ] || exit 0
[ "$6" != "$self" ] || exit 0
[ "$(role_of 127.0.0.1)" = master ] || exit 0
step_down_for "$6" >/dev/null
