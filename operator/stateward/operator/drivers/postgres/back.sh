# The old data is in its place again, and what was made of it is gone.
set -eu
cd "$DATA"
kept=pgdata-$OLD
version=$(cat pgdata/PG_VERSION 2> /dev/null || true)
if [ -e "$kept" ] && [ "$version" != "$OLD" ]; then
  rm -rf pgdata
  if [ -n "$WAL" ] && [ -e "$WAL/pg_wal-$OLD" ]; then
    rm -rf "$WAL/pg_wal"
    mv "$WAL/pg_wal-$OLD" "$WAL/pg_wal"
  fi
  mv "$kept" pgdata
  rmdir pgdata 2> /dev/null || true  # of a member that had none
fi
for left in pgdata-"$NEW".* ${WAL:+"$WAL"/pg_wal-"$NEW".*}; do rm -rf "$left"; done
sync
