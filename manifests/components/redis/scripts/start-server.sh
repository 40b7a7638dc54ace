#!/bin/sh
# Starts this pod's server as the master's replica, or as the master when it is the one.
. "$(dirname "$0")/common.sh"

has_replica() {
  for each in $REDIS_HOSTS; do
    if [ "$each" != "$REDIS_SELF" ] && [ "$(role_of "$each")" = slave ]; then
      return 0
    fi
  done
  return 1
}

# Whom to follow. The Sentinels know best; then comes a server that is master; when there is
# neither, the estate is being started from nothing, and the first server is the master.
choose_master() {
  [ "$REDIS_HOSTS" != "$REDIS_SELF" ] || { printf '%s\n' "$REDIS_SELF"; return; }
  tries=4
  while [ "$tries" -gt 0 ]; do
    master=$(named_master)
    [ -n "$master" ] || master=$(running_master)
    [ -z "$master" ] || break
    tries=$((tries - 1))
    sleep 1
  done
  master=${master:-${REDIS_HOSTS%% *}}

  # Nothing is kept on disk: a master that comes back empty would have its replicas throw away what
  # they hold. So one of them is made master first.
  if [ "$master" = "$REDIS_SELF" ] && has_replica && request_failover; then
    master=$(await_successor 15) || master=$REDIS_SELF
  fi
  printf '%s\n' "$master"
}

master=$(choose_master)
mkdir -p "$state/server"
{
  printf 'include %s\n' "$config/server.conf"
  printf 'dir %s\n' "$state/server"
  printf 'replica-announce-ip %s\n' "$REDIS_SELF"
  if [ "$master" != "$REDIS_SELF" ]; then
    printf 'replicaof %s %s\n' "$master" "$server_port"
  fi
} >"$state/server.conf"

if [ "$master" = "$REDIS_SELF" ]; then
  say "starting as master"
else
  say "starting as replica of $master"
fi
exec "$(program server)" "$state/server.conf"
