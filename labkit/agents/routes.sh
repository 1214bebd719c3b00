# Keep the machine's routes in a file, or restore them. Arguments: "keep" or "restore", and the file.
# flanneld keeps routes that it learned from a lease, also after the lease is gone.
set -u
if [ "$1" = keep ]; then
  ip route show >"$2"
  exit
fi
[ -e "$2" ] || exit 0
ip route show | grep -vxFf "$2" | while read -r route; do
  # shellcheck disable=SC2086 # the route is a list of words
  ip route del $route
done
ip route show >"$2.now"
grep -vxFf "$2.now" "$2" | while read -r route; do
  # shellcheck disable=SC2086
  ip route add $route
done
rm -f "$2.now"
