# Asked by the kubelet: whether a member serves; a replica does while it follows.
REDISCLI_AUTH=$(cat /etc/stateward-secrets/password)
export REDISCLI_AUTH
answer=$(printf 'PING\nINFO replication\n' | timeout 4 "$CLI" -h 127.0.0.1 -p 6379 2>/dev/null)
case $answer in
  PONG*role:master*) ;;
  PONG*master_link_status:up*) ;;
  *) exit 1 ;;
esac
