# Who is there, and who leads: read by the other scripts (". state.sh"). Plain sh, and nothing that a small image lacks.
#
# A member is known to the others by the address of a Service of its own, which stays while pods come and go. Should it
# be another all the same (the Service was made anew), what is kept on the volume is read by the members' names.
FILES=/etc/stateward
HERE=/data/stateward
KEPT=$HERE/sentinel.conf
REDISCLI_AUTH=$(cat /etc/stateward-secrets/password)
export REDISCLI_AUTH
# How members and Sentinels are asked: with their certificate, where they speak TLS.
SECURED=
if [ -f "$FILES/tls.conf" ]; then
  SECURED=$(sed -n 's/^tls-ca-cert-file /--tls --cacert /p; s/^tls-cert-file /--cert /p; s/^tls-key-file /--key /p' "$FILES/tls.conf")
fi

say() {
  echo "stateward: $*" >&2
}

# Address of a name, waited for: a Service that was just made is not in DNS yet.
resolve() {
  tries=0
  while :; do
    found=$(getent hosts "$1" || true)
    found=${found%%[[:space:]]*}
    [ -n "$found" ] && break
    tries=$((tries + 1))
    [ $((tries % 10)) -eq 0 ] && say "$1 has no address yet"
    sleep 1
  done
  echo "$found"
}

# NOW: a line for each member, "NAME ADDRESS IDENTITY". MINE: this one's address. COUNT: how many members there are.
read_members() {
  NOW=
  MINE=
  COUNT=0
  while read -r name host identity; do
    address=$(resolve "$host")
    NOW="$NOW$name $address $identity
"
    COUNT=$((COUNT + 1))
    if [ "$name" = "$POD_NAME" ]; then
      MINE=$address
    fi
  done < "$FILES/members"
  if [ -z "$MINE" ]; then
    say "$POD_NAME is none of the members; waiting for the operator"
    sleep 10
    exit 1
  fi
}

# Addresses of the other members.
others() {
  echo "$NOW" | while read -r name address identity; do
    if [ "$address" != "$MINE" ]; then echo "$address"; fi
  done
}

is_member() {
  [ -n "$1" ] && echo "$NOW" | grep -qF " $1 "
}

# Runs a command at ADDRESS PORT; at most SECONDS.
ask() {
  seconds=$1
  host=$2
  port=$3
  shift 3
  # shellcheck disable=SC2086 # several words, none with spaces
  timeout "$seconds" "$CLI" $SECURED -h "$host" -p "$port" "$@" 2>/dev/null
}

# What a Sentinel says of the primary: "ADDRESS EPOCH FLAGS"; nothing where it does not answer.
asked() {
  ask 5 "$1" 26379 SENTINEL MASTER mymaster | {
    ip=
    epoch=
    flags=
    while read -r key && read -r value; do
      case $key in
        ip) ip=$value ;;
        config-epoch) epoch=$value ;;
        flags) flags=$value ;;
      esac
    done
    if [ -n "$ip" ] && [ -n "$epoch" ]; then
      echo "$ip $epoch $flags"
    fi
  }
}

# PRIMARY, EPOCH, FLAGS: by the Sentinel of another member that knows the latest failover; PRIMARY is empty if none answers.
ask_others() {
  PRIMARY=
  EPOCH=-1
  FLAGS=
  for address in $(others); do
    answer=$(asked "$address")
    [ -n "$answer" ] || continue
    ip=${answer%% *}
    rest=${answer#* }
    epoch=${rest%% *}
    if is_member "$ip" && [ "$epoch" -gt "$EPOCH" ]; then
      PRIMARY=$ip
      EPOCH=$epoch
      FLAGS=${rest#* }
    fi
  done
}

# The same by what is kept on the volume: the address of then, by the name it was of, as it is now.
ask_volume() {
  PRIMARY=
  EPOCH=-1
  FLAGS=
  [ -f "$KEPT" ] || return 0
  then=$(sed -n 's/^sentinel monitor mymaster \([^ ]*\) .*/\1/p' "$KEPT" | head -n 1)
  [ -n "$then" ] || return 0
  name=$(sed -n 's/^# member //p' "$KEPT" | while read -r one address; do
    if [ "$address" = "$then" ]; then echo "$one"; fi
  done)
  PRIMARY=$(echo "$NOW" | while read -r one address identity; do
    if [ -n "$name" ] && [ "$one" = "$name" ]; then echo "$address"; fi
  done)
  EPOCH=$(kept_number 'sentinel config-epoch mymaster')
}

kept_number() {
  number=
  if [ -f "$KEPT" ]; then
    number=$(sed -n "s/^$1 \([0-9]*\).*/\1/p" "$KEPT" | head -n 1)
  fi
  echo "${number:-0}"
}

# Whether there is data on the volume.
has_data() {
  [ -e /data/dump.rdb ] || [ -e /data/appendonly.aof ] || [ -d /data/appendonlydir ]
}

founded() {
  [ "$(cat "$FILES/founded")" = yes ]
}

# Finds out who leads, for as long as it takes.
find_primary() {
  rounds=0
  while :; do
    ask_others
    case $FLAGS in
      *down* | *failover*) say "Sentinels say that $PRIMARY is $FLAGS; waiting for what comes of it" ;;
      *) [ -n "$PRIMARY" ] && return 0 ;;
    esac
    rounds=$((rounds + 1))
    if [ -z "$PRIMARY" ] || [ $rounds -gt 30 ]; then
      ask_volume
      [ -n "$PRIMARY" ] && return 0
      if ! founded || { has_data && [ "$COUNT" -eq 1 ]; }; then
        PRIMARY=$(echo "$NOW" | { read -r name address identity; echo "$address"; })
        EPOCH=0
        return 0
      fi
      say "no Sentinel answers, and nothing on this volume says who leads; asking again"
    fi
    sleep 1
  done
}
