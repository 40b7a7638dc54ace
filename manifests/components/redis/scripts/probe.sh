#!/bin/sh
# probe.sh server|sentinel answers: it replies at all, be it that it is loading.
# probe.sh server in-step: it is the master, or a replica that has all of the master's data.
. "$(dirname "$0")/common.sh"

case "$1 $2" in
  "server answers")
    [ -n "$(ask_server 127.0.0.1 ping)" ]
    ;;
  "sentinel answers")
    [ -n "$(ask_sentinel 127.0.0.1 ping)" ]
    ;;
  "server in-step")
    ask_server 127.0.0.1 info replication | grep -q -e '^role:master' -e '^master_link_status:up'
    ;;
  *)
    exit 2
    ;;
esac
