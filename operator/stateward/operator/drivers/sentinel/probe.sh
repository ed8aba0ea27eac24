# Asked by the kubelet: ready (serves), live (answers, though it be that it loads its data), sentinel (its Sentinel answers).
REDISCLI_AUTH=$(cat /etc/stateward-secrets/password)
export REDISCLI_AUTH
port=6379
[ "$1" = sentinel ] && port=26379
answer=$(timeout 4 "$CLI" -h 127.0.0.1 -p $port PING 2>/dev/null)
case $1 in
  live) [ -n "$answer" ] ;;
  *) [ "$answer" = PONG ] ;;
esac
