# Clouds serve the metadata of a machine at this address, to it and to what it routes. In the lab it
# leads to the machine that stands in for a cloud: the route and the new destination keep it inside.
set -eu
address=169.254.169.254
cloud=$(getent ahostsv4 cloud | head -n 1 | cut -d ' ' -f 1)
ip route replace "$address/32" via "$cloud" dev eth0
iptables -w -t nat -N METADATA 2>/dev/null || iptables -w -t nat -F METADATA
iptables -w -t nat -A METADATA -d "$address/32" -p tcp --dport 80 -j DNAT --to-destination "$cloud:80"
for chain in PREROUTING OUTPUT; do
  iptables -w -t nat -C "$chain" -j METADATA 2>/dev/null || iptables -w -t nat -I "$chain" -j METADATA
done
