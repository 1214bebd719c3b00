# Succeed if something listens on each of some TCP ports. Arguments: the ports.
for port; do
  [ -n "$(ss -Hltn "sport = :$port")" ] || exit 1
done
