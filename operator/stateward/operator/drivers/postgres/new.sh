# A new cluster beside the old data, filled from the older server, compared with it, and made to last. Nothing else is touched.
set -eu
told=${TOLD:-/dev/termination-log}
cd "$DATA"
umask 077
bin=/usr/lib/postgresql/$NEW/bin
made=pgdata-$NEW.$ATTEMPT
part=$made.part
(while touch "$WORK/alive" && sleep 10; do :; done) > /dev/null 2>&1 &
trap "touch '$WORK/ended'; kill $! 2> /dev/null || true" EXIT
fail() { echo "$1" > "$told"; exit 1; }
was() { (export PGHOST="$WORK/old" PGUSER=postgres && "$@"); }
is() { (export PGHOST="$WORK/new" PGUSER=postgres && "$@"); }
ask() { "$bin/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
number() { LC_ALL=C "$bin/pg_controldata" -D "$made" | sed -n 's/^Database system identifier: *//p'; }
tell() { [ ! -e "$WORK/why" ] || head -c 600 "$WORK/why" > "$told"; exit 1; }
if [ -e "$made" ]; then number > "$told"; exit 0; fi
for left in pgdata-"$NEW".*.part ${WAL:+"$WAL"/pg_wal-"$NEW".*}; do rm -rf "$left"; done
room() { df -Pk "$1" | awk 'NR == 2 {print $4}'; }
used=$(du -sk pgdata | cut -f1)
free=$(room .)
[ "$free" -ge "$used" ] || fail "its volume has $((free / 1024)) MiB left, and its data takes $((used / 1024)): raise storage.size first"
if [ -n "$WAL" ]; then
  used=$(du -sk "$WAL/pg_wal" | cut -f1)
  free=$(room "$WAL")
  [ "$free" -ge "$used" ] || fail "the volume of its log has $((free / 1024)) MiB left, and its log takes $((used / 1024)): raise storage.wal.size first"
fi
# Checkpoints keep the log of the new cluster below that, in MiB: it must not fill the volume that it is on.
log=$((free / 1024 / 4))
[ "$log" -ge 64 ] || log=64
[ "$log" -le 2048 ] || log=2048
for _ in $(seq 3600); do
  if was "$bin/pg_isready" -q; then break; fi
  [ ! -e "$WORK/broken" ] || fail "the older server does not run on its data"
  sleep 1
done
was ask -d postgres -c "SELECT 1" > /dev/null 2> "$WORK/why" || tell
found=$(was ask -d postgres -c "SELECT string_agg(datname, ', ') FROM pg_database WHERE NOT datallowconn AND datname <> 'template0'")
[ -z "$found" ] || fail "databases that nobody can connect to cannot be dumped: $found; allow connections, or drop them"
found=$(was ask -d postgres -c "SELECT string_agg(spcname, ', ') FROM pg_tablespace WHERE spcname NOT LIKE 'pg\\_%'")
[ -z "$found" ] || fail "tablespaces are outside of the volume, and are not carried over: $found"
"$bin/initdb" -D "$part" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --data-checksums --no-sync \
  ${WAL:+--waldir="$WAL/pg_wal-$NEW.$ATTEMPT"} > "$WORK/why" 2>&1 || tell
mkdir -p "$WORK/new"
echo 'local all all trust' > "$WORK/new/hba.conf"
"$bin/pg_ctl" -D "$part" -w -t 300 -l "$WORK/new/log" -o "-c listen_addresses= -c unix_socket_directories=$WORK/new \
  -c hba_file=$WORK/new/hba.conf -c fsync=off -c full_page_writes=off -c synchronous_commit=off \
  -c autovacuum=off -c log_min_error_statement=panic -c max_wal_size=${log}MB \
  -c maintenance_work_mem=128MB" start > "$WORK/why" 2>&1 || tell
# The role that every cluster begins with is there: only what it is to be is told.
was "$bin/pg_dumpall" --globals-only 2> "$WORK/why" | sed '/^CREATE ROLE postgres;$/d' > "$WORK/globals.sql"
is "$bin/psql" -X -q -v ON_ERROR_STOP=1 -v VERBOSITY=terse -d postgres -f "$WORK/globals.sql" > /dev/null 2> "$WORK/why" || tell
rm -f "$WORK/globals.sql"
was ask -d postgres -c "SELECT datname FROM pg_database WHERE datname <> 'template0' ORDER BY datname" > "$WORK/databases"
counts="SELECT format('SELECT %L, count(*) FROM %I.%I', n.nspname || '.' || c.relname, n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY n.nspname, c.relname \\gexec"
while IFS= read -r name; do
  [ "$name" = postgres ] && through=template1 || through=postgres
  { was "$bin/pg_dump" --clean --if-exists --create --dbname="$name" 2> "$WORK/dumped" || touch "$WORK/halfway"; } |
    is "$bin/psql" -X -q -v ON_ERROR_STOP=1 -v VERBOSITY=terse -d "$through" > /dev/null 2> "$WORK/why" || tell
  [ ! -e "$WORK/halfway" ] || { cp "$WORK/dumped" "$WORK/why"; tell; }
  printf '%s\n' "$counts" | was ask -d "$name" > "$WORK/counted" 2> "$WORK/why" || tell
  printf '%s\n' "$counts" | is ask -d "$name" > "$WORK/count" 2> "$WORK/why" || tell
  cmp -s "$WORK/counted" "$WORK/count" || fail "database $name: its tables have other numbers of rows than before"
done < "$WORK/databases"
is "$bin/vacuumdb" --all --analyze-only --quiet 2> "$WORK/why" || tell
"$bin/pg_ctl" -D "$part" -w -t 3600 -m fast stop > /dev/null
"$bin/initdb" --sync-only -D "$part" > /dev/null
mv "$part" "$made"
sync
number > "$told"
