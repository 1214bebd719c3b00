#!/bin/sh
# Gives the pods of this machine the addresses that flanneld got for it.
set -eu
. /run/flannel/subnet.env
mkdir -p /etc/cni/net.d
cat >/etc/cni/net.d/.10-flannel <<JSON
{
  "cniVersion": "1.0.0",
  "name": "flannel",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "mtu": $FLANNEL_MTU,
      "isDefaultGateway": true,
      "ipam": {"type": "host-local", "subnet": "$(echo "$FLANNEL_SUBNET" | sed 's/\.1\//.0\//')"}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
JSON
mv /etc/cni/net.d/.10-flannel /etc/cni/net.d/10-flannel.conflist
