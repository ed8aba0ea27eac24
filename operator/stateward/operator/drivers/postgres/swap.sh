# The new data takes the place of the old, which stays beside it. A member that did not lead last starts with none.
set -eu
told=${TOLD:-/dev/termination-log}
cd "$DATA"
fail() { echo "$1" > "$told"; exit 1; }
kept=pgdata-$OLD
made=pgdata-$NEW.$ATTEMPT
if [ ! -e "$kept" ]; then
  [ ! -e pgdata ] || mv pgdata "$kept"
  [ -e "$kept" ] || mkdir -m 700 "$kept"
elif [ -e pgdata/PG_VERSION ] && [ "$(cat pgdata/PG_VERSION)" = "$OLD" ]; then
  fail "$kept of an earlier upgrade is in the way: delete it or move it away"
fi
# The log on a volume of its own: the links of both name the same folder, which is exchanged with the data.
if [ -n "$WAL" ] && [ ! -e "$WAL/pg_wal-$OLD" ]; then
  [ ! -e "$WAL/pg_wal" ] || mv "$WAL/pg_wal" "$WAL/pg_wal-$OLD"
  [ -e "$WAL/pg_wal-$OLD" ] || mkdir -m 700 "$WAL/pg_wal-$OLD"
fi
if [ "$LEADS" = yes ] && [ ! -e pgdata ]; then
  [ "$(cat "$made/PG_VERSION")" = "$NEW" ] || fail "the data that was carried over is not there"
  if [ -n "$WAL" ]; then
    [ -e "$WAL/pg_wal" ] || mv "$WAL/pg_wal-$NEW.$ATTEMPT" "$WAL/pg_wal"
    ln -sfn "$WAL/pg_wal" "$made/pg_wal"
  fi
  mv "$made" pgdata
fi
[ "$LEADS" = no ] || [ "$(cat pgdata/PG_VERSION)" = "$NEW" ] || fail "pgdata is not of major $NEW"
sync
