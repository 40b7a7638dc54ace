# What the scripts beside this one share. They run in any POSIX shell, that of the image included.
#
# Out of the pod's environment:
#   POD_NAME           this pod
#   REDIS_PODS         all pods of the estate, this one among them
#   ..._SERVICE_HOST   address of each pod's own Service
#   REDIS_MASTER_NAME  by which Sentinels know the estate
#   REDIS_QUORUM       how many Sentinels must agree
set -eu
umask 077

config=/srv/redis/config
state=/srv/redis/state
server_port=6379
sentinel_port=26379

# Valkey installs its programs under both names.
program() {
  command -v "valkey-$1" || command -v "redis-$1"
}

say() {
  printf '%s %s\n' "$(date -u '+%Y-%m-%dT%H:%M:%SZ')" "$*"
}

# ask HOST PORT PASSWORD_FILE COMMAND...: the answer; nothing when there is none within 2 seconds.
# The password goes by the environment of that one process, never by its arguments.
ask() (
  host=$1 port=$2 file=$3
  shift 3
  REDISCLI_AUTH=$(cat "$file")
  VALKEYCLI_AUTH=$REDISCLI_AUTH
  export REDISCLI_AUTH VALKEYCLI_AUTH
  timeout 2 "$(program cli)" -h "$host" -p "$port" "$@" 2>/dev/null || true
)

ask_server() (
  host=$1
  shift
  ask "$host" "$server_port" "$config/password" "$@"
)

ask_sentinel() (
  host=$1
  shift
  ask "$host" "$sentinel_port" "$config/sentinel-password" "$@"
)

# The address that stands for pod $1.
address_of() {
  variable=$(printf '%s' "$1" | tr 'a-z-' 'A-Z_')_SERVICE_HOST
  eval "printf '%s\n' \"\${$variable}\""
}

addresses=$(for pod in $REDIS_PODS; do address_of "$pod"; done)
self=$(address_of "$POD_NAME")

with_sentinels() {
  [ -f "$config/sentinel-password" ]
}

# The master that most Sentinels name; nothing when none answers.
named_master() {
  with_sentinels || return 0
  for each in $addresses; do
    ask_sentinel "$each" sentinel get-master-addr-by-name "$REDIS_MASTER_NAME" | head -n 1
  done | grep -Fx "$addresses" | sort | uniq -c | sort -rn | head -n 1 |
    sed 's/^ *[0-9][0-9]* *//'
}

role_of() {
  ask_server "$1" role | head -n 1
}

# Another server that is master just now; nothing when none is.
running_master() {
  for each in $addresses; do
    if [ "$each" != "$self" ] && [ "$(role_of "$each")" = master ]; then
      printf '%s\n' "$each"
      return 0
    fi
  done
}

# Makes this pod's server a replica of host $1 and sends its clients away: they come back to the
# new master. Sentinels would let ten seconds pass, during which writes here are lost.
step_down_for() {
  ask_server 127.0.0.1 replicaof "$1" "$server_port"
  ask_server 127.0.0.1 client kill type normal
  ask_server 127.0.0.1 client kill type pubsub
}

# Asks the Sentinels, one after the other, to make another server the master. Fails when none can.
request_failover() {
  for each in $addresses; do
    case $(ask_sentinel "$each" sentinel failover "$REDIS_MASTER_NAME") in
      OK | INPROG*) return 0 ;;
    esac
  done
  return 1
}

# Waits, at most $1 seconds, until the Sentinels name another master than this server: prints it.
await_successor() {
  left=$1
  while [ "$left" -gt 0 ]; do
    successor=$(named_master)
    if [ -n "$successor" ] && [ "$successor" != "$self" ]; then
      printf '%s\n' "$successor"
      return 0
    fi
    left=$((left - 1))
    sleep 1
  done
  return 1
}
