#!/bin/sh
# Before this pod's Sentinel is stopped: while the server beside it hands over, it is needed.
. "$(dirname "$0")/common.sh"

left=20
while [ "$left" -gt 0 ] && [ "$(role_of 127.0.0.1)" = master ]; do
  left=$((left - 1))
  sleep 1
done
