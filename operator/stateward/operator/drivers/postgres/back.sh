# The old data is in its place again, and what was made of it is gone.
set -eu
cd "$DATA"
kept=pgdata-$OLD
version=$(cat pgdata/PG_VERSION 2> /dev/null || true)
if [ -e "$kept" ] && [ "$version" != "$OLD" ]; then
  rm -rf pgdata
  mv "$kept" pgdata
  rmdir pgdata 2> /dev/null || true  # of a member that had none
fi
for left in pgdata-"$NEW".*; do rm -rf "$left"; done
sync
