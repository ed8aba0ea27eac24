# Starts a member (start.sh server) or its Sentinel (start.sh sentinel). Both write their own file over while they run,
# so each start lays it anew: settings as they are now, and of what was kept who leads and how many failovers there were.
set -eu
. /etc/stateward/state.sh
umask 077
mkdir -p "$HERE"
read_members
find_primary

# Settings of a port: the only one where they speak TLS.
listen() {
  if [ -n "$SECURED" ]; then
    echo "port 0"
    echo "tls-port $1"
    cat "$FILES/tls.conf"
  else
    echo "port $1"
  fi
}

# Whether what was appended can be read. It is where nothing says otherwise: a check that was killed says nothing.
readable() {
  file=/data/appendonly.aof
  if [ -d /data/appendonlydir ]; then file=/data/appendonlydir/appendonly.aof.manifest; fi
  [ -e "$file" ] || return 0
  code=0
  "${SERVER%-server}-check-aof" "$file" >&2 || code=$?
  [ "$code" -ne 1 ]
}

# A volume that ran full may have cut the append-only file, and a member that cannot read it never starts. One that
# follows is given all of it by the one that leads, as when it is new. All is read for that, so only where the last start
# did not come to serve; and never where this member would lead, or nobody does.
copy_anew() {
  if [ ! -e "$HERE/starting" ] || [ "$PRIMARY" = "$MINE" ] || readable; then return 0; fi
  if [ "$(ask 5 "$PRIMARY" 6379 ROLE | head -n 1)" = master ]; then
    say "what was appended cannot be read: removed, to copy all from $PRIMARY, which leads"
    rm -rf /data/appendonlydir /data/appendonly.aof
  else
    say "what was appended cannot be read, and $PRIMARY does not say that it leads: kept"
  fi
}

server() {
  # An empty volume must not lead where there was data: the others would empty themselves after it.
  while [ "$PRIMARY" = "$MINE" ] && founded && ! has_data; do
    say "this volume is empty and the others take this member for the primary; waiting until one of them leads"
    sleep 2
    find_primary
  done
  copy_anew
  : > "$HERE/starting"
  {
    echo "include $FILES/redis.conf"
    echo "include /etc/stateward-secrets/redis.conf"
    listen 6379
    echo "replica-announce-ip $MINE"
    echo "replica-announce-port 6379"
    if [ "$PRIMARY" != "$MINE" ]; then
      echo "replicaof $PRIMARY 6379"
    fi
  } > "$HERE/redis.conf.new"
  mv "$HERE/redis.conf.new" "$HERE/redis.conf"
  if [ "$PRIMARY" = "$MINE" ]; then say "starts as the primary"; else say "follows $PRIMARY"; fi
  exec "$SERVER" "$HERE/redis.conf"
}

# Ends this Sentinel, which is started again, as soon as there is another password.
renew() {
  while sleep 5; do
    if [ "$(cat /etc/stateward-secrets/password)" != "$REDISCLI_AUTH" ]; then
      say "there is another password: starting anew"
      kill -TERM $$
    fi
  done
}

sentinel() {
  kept=$(kept_number 'sentinel current-epoch')
  voted=$(kept_number 'sentinel leader-epoch mymaster')
  {
    listen 26379
    echo "dir $HERE"
    echo "requirepass $REDISCLI_AUTH"
    echo "$NOW" | while read -r name address identity; do
      if [ "$name" = "$POD_NAME" ]; then echo "sentinel myid $identity"; fi
    done
    echo "sentinel announce-ip $MINE"
    echo "sentinel announce-port 26379"
    echo "sentinel monitor mymaster $PRIMARY 6379 $((COUNT / 2 + 1))"
    echo "sentinel auth-pass mymaster $REDISCLI_AUTH"
    cat "$FILES/sentinel.conf"
    echo "sentinel config-epoch mymaster $EPOCH"
    echo "sentinel leader-epoch mymaster $voted"
    echo "$NOW" | while read -r name address identity; do
      [ -n "$name" ] || continue
      # By these names and addresses what Sentinel writes into this file is understood at the next start.
      echo "# member $name $address"
      if [ "$address" != "$PRIMARY" ]; then echo "sentinel known-replica mymaster $address 6379"; fi
      if [ "$address" != "$MINE" ]; then echo "sentinel known-sentinel mymaster $address 26379 $identity"; fi
    done
    if [ "$kept" -lt "$EPOCH" ]; then kept=$EPOCH; fi
    echo "sentinel current-epoch $kept"
  } > "$KEPT.new"
  mv "$KEPT.new" "$KEPT"
  # One of 7.0 or later is told another password while it runs.
  case $("$SERVER" --version) in
    *v=6.*) renew & ;;
  esac
  exec "$SERVER" "$KEPT" --sentinel
}

"$1"
