#!/bin/sh
# Starts this pod's Sentinel. What it learns it keeps in its configuration, through restarts of the
# container and of the host. A new pod begins anew, with what the others say; as it has the address
# of the one before, it takes that one's place with them.
. "$(dirname "$0")/common.sh"

conf=$state/sentinel.conf

if [ ! -s "$conf" ]; then
  master=
  while [ -z "$master" ]; do
    master=$(named_master)
    [ -n "$master" ] || master=$(running_master)
    if [ -z "$master" ] && [ "$(role_of 127.0.0.1)" = master ]; then
      master=$self
    fi
    [ -n "$master" ] || sleep 1
  done
  {
    cat "$config/sentinel.conf"
    printf 'sentinel announce-ip %s\n' "$self"
    printf 'sentinel monitor %s %s %s %s\n' \
      "$REDIS_MASTER_NAME" "$master" "$server_port" "$REDIS_QUORUM"
  } >"$conf.new"
  mv "$conf.new" "$conf"
  say "watching $master"
fi
exec "$(program server)" "$conf" --sentinel
