# Asked by the kubelet: whether a member serves; a replica does while it follows.
. /etc/stateward/state.sh
answer=$(printf 'PING\nINFO replication\n' | ask 4 127.0.0.1 6379)
case $answer in
  PONG*role:master*) ;;
  PONG*master_link_status:up*) ;;
  *) exit 1 ;;
esac
rm -f "$HERE/starting"
