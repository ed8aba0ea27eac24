# The old data goes.
set -eu
cd "$DATA"
[ "$(cat pgdata/PG_VERSION)" = "$NEW" ] || { echo "pgdata is not of major $NEW" > /dev/termination-log; exit 1; }
rm -rf "pgdata-$OLD"
