# The older server over its own data: for the containers of this pod alone, and nothing can be written but what it settles.
set -eu
told=${TOLD:-/dev/termination-log}
cd "$DATA"
umask 077
bin=/usr/lib/postgresql/$OLD/bin
mkdir -p "$WORK/old"
echo 'local all all trust' > "$WORK/old/hba.conf"
"$bin/postgres" -D pgdata -c listen_addresses= -c "unix_socket_directories=$WORK/old" -c "hba_file=$WORK/old/hba.conf" \
  -c ssl=off -c archive_mode=off -c default_transaction_read_only=on -c synchronous_standby_names= -c autovacuum=off \
  -c log_statement=none -c log_min_duration_statement=-1 -c logging_collector=off -c max_replication_slots=64 -c external_pid_file= &
server=$!
alive() { [ -z "$(find "$WORK/alive" -mmin +2 2> /dev/null)" ]; }
while kill -0 "$server" 2> /dev/null && [ ! -e "$WORK/ended" ] && alive; do sleep 1; done
if ! kill -0 "$server" 2> /dev/null; then
  touch "$WORK/broken"
  echo "the older server does not run on its data: see the log of this container" > "$told"
  exit 1
fi
"$bin/pg_ctl" -D pgdata stop -m fast -t 3600 > /dev/null
[ -e "$WORK/ended" ]
