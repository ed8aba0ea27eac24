# How far the data of a member reaches: whether it led last, its timeline, its position, the cluster's number.
set -eu
told=${TOLD:-/dev/termination-log}
cd "$DATA"
fail() { echo "$1" > "$told"; exit 1; }
[ -s pgdata/PG_VERSION ] || { echo "empty 0 0/0 0" > "$told"; exit 0; }
[ "$(cat pgdata/PG_VERSION)" = "$OLD" ] || fail "its data is of major $(cat pgdata/PG_VERSION), and $OLD was to be carried over"
said=$(LC_ALL=C "/usr/lib/postgresql/$OLD/bin/pg_controldata" -D pgdata)
value() { printf '%s\n' "$said" | sed -n "s/^$1: *//p"; }
state=led
case $(value "Database cluster state") in *recovery*) state=followed ;; esac
timeline=$(value "Latest checkpoint's TimeLineID")
position=$(value "Latest checkpoint location")
ends=$(value "Minimum recovery ending location")
[ "$state" = led ] || [ "$ends" = 0/0 ] || position=$ends
# Whoever was promoted and died before its first checkpoint has written the history of its timeline, and no more.
for file in pgdata/pg_wal/*.history; do
  [ -e "$file" ] || continue
  number=$(basename "$file" .history)
  number=$(printf '%d' "0x$number")
  if [ "$number" -gt "$timeline" ]; then timeline=$number; fi
done
echo "$state $timeline $position $(value 'Database system identifier')" > "$told"
