# Before a member ends: where it leads it hands over first. A failover that is asked for takes a second or two, one that
# is noticed takes those until Sentinels agree that it is down.
. /etc/stateward/state.sh

own() {
  ask 3 127.0.0.1 6379 "$@"
}

leads() {
  [ "$(own ROLE | head -n 1)" = master ]
}

leads || exit 0
read_members
[ "$COUNT" -gt 1 ] || exit 0
# No write is acknowledged from here on; a replica that has all of those that were takes over.
own CONFIG SET min-replicas-to-write 1000 > /dev/null
replication() {
  own INFO replication | tr -d '\r'
}

caught_up() {
  for offset in $(replication | sed -n 's/^slave[0-9]*:.*offset=\([0-9]*\).*/\1/p'); do
    [ "$offset" -ge "$1" ] && return 0
  done
  return 1
}

end=$(replication | sed -n 's/^master_repl_offset:\([0-9]*\).*/\1/p')
tries=0
while [ $tries -lt 20 ] && ! caught_up "${end:-0}"; do
  sleep 1
  tries=$((tries + 1))
done
for address in $(others); do
  [ "$(ask 3 "$address" 26379 SENTINEL FAILOVER mymaster)" = OK ] || continue
  tries=0
  while [ $tries -lt 15 ]; do
    answer=$(asked "$address")
    if [ -n "$answer" ] && [ "${answer%% *}" != "$MINE" ]; then exit 0; fi
    sleep 1
    tries=$((tries + 1))
  done
  exit 0
done
exit 0
