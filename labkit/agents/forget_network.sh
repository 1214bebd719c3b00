# Wait until flanneld has forgotten a network whose lease is gone, or forget it here: its route, its
# neighbour and its forwarding entry. Arguments: the network, and the seconds to wait.
set -u
end=$(($(date +%s) + $2))
while [ -n "$(ip route show "$1")" ]; do
  if [ "$(date +%s)" -ge "$end" ]; then
    # a flanneld that was restarted does not know that it added them
    mac=$(ip neigh show to "${1%/*}" dev flannel.1 | sed -n 's/.*lladdr \([^ ]*\).*/\1/p')
    ip route del "$1"
    ip neigh del "${1%/*}" dev flannel.1
    bridge fdb del "$mac" dev flannel.1
    exit
  fi
  sleep 0.2
done
