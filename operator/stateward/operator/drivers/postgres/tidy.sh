# The old data goes.
set -eu
told=${TOLD:-/dev/termination-log}
cd "$DATA"
[ "$(cat pgdata/PG_VERSION)" = "$NEW" ] || { echo "pgdata is not of major $NEW" > "$told"; exit 1; }
rm -rf "pgdata-$OLD" ${WAL:+"$WAL/pg_wal-$OLD"}
