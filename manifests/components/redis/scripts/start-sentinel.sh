#!/bin/sh
# Starts this pod's Sentinel. What it learns it keeps in its configuration, through restarts of the
# container and of the host; a new pod begins anew, with what the others say.
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
    # The same pod is the same Sentinel to the others: a made-up one for each new pod would leave
    # the old ones behind as voters, until no majority can be had.
    printf 'sentinel myid %s\n' "$(printf '%s' "$POD_NAME" | sha1sum | cut -c 1-40)"
    printf 'sentinel monitor %s %s %s %s\n' \
      "$REDIS_MASTER_NAME" "$master" "$server_port" "$REDIS_QUORUM"
  } >"$conf.new"
  mv "$conf.new" "$conf"
  say "watching $master"
fi
exec "$(program server)" "$conf" --sentinel
