#!/bin/sh
# Starts this pod's server as the master's replica, or as the master when it is the one.
. "$(dirname "$0")/common.sh"

has_replica() {
  for each in $addresses; do
    if [ "$each" != "$self" ] && [ "$(role_of "$each")" = slave ]; then
      return 0
    fi
  done
  return 1
}

# Whom to follow. The Sentinels know best; then comes a server that is master; when there is
# neither, the estate is being started from nothing, and the first server is the master.
choose_master() {
  [ "$addresses" != "$self" ] || { printf '%s\n' "$self"; return; }
  tries=4
  while [ "$tries" -gt 0 ]; do
    master=$(named_master)
    [ -n "$master" ] || master=$(running_master)
    [ -z "$master" ] || break
    tries=$((tries - 1))
    sleep 1
  done
  [ -n "$master" ] || master=$(printf '%s\n' "$addresses" | head -n 1)

  # Nothing is kept on disk: a master that comes back empty would have its replicas throw away what
  # they hold. So one of them is made master first.
  if [ "$master" = "$self" ] && has_replica && request_failover; then
    master=$(await_successor 15) || master=$self
  fi
  printf '%s\n' "$master"
}

master=$(choose_master)
mkdir -p "$state/server"
{
  printf 'include %s\n' "$config/server.conf"
  printf 'dir %s\n' "$state/server"
  printf 'replica-announce-ip %s\n' "$self"
  if [ "$master" != "$self" ]; then
    printf 'replicaof %s %s\n' "$master" "$server_port"
  fi
} >"$state/server.conf"

if [ "$master" = "$self" ]; then
  say "starting as master"
else
  say "starting as replica of $master"
fi
exec "$(program server)" "$state/server.conf"
