# Make the kernel that runs the lab ignore what a lab's machines send to its own addresses.
# Argument: the lab's bridge. The settings are the bridge's own, and vanish with it.
set -e
cd /proc/sys/net
echo 8 > "ipv4/conf/$1/arp_ignore" # answer no ARP request
echo 1 > "ipv4/conf/$1/rp_filter"  # drop packets of senders to whom no route leads
[ ! -e "ipv6/conf/$1" ] || echo 1 > "ipv6/conf/$1/disable_ipv6"
