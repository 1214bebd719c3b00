# Run a command until it succeeds. Arguments: a systemd unit or "", and the command.
# Polls in the machine, so that waiting costs no round trips. A unit that systemd cannot load,
# or has restarted too often, ends the wait before its deadline.
unit=$1
shift
until "$@" >/run/labkit-wait.$$ 2>&1; do
  if [ -n "$unit" ]; then
    load=$(systemctl show --property=LoadState --value "$unit" 2>/dev/null)
    case "$load" in '' | loaded) ;; *) echo "systemd says: $load"; exit 3 ;; esac
    if systemctl --quiet is-failed "$unit"; then echo "systemd gave up on it"; exit 4; fi
  fi
  sleep 0.2
done
rm -f /run/labkit-wait.$$
