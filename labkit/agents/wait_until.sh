# Repeat a command until it succeeds. Arguments: a systemd unit or "", and the command.
# The loop runs on the machine, so that it needs no round trips. The wait ends early if systemd
# cannot load the unit, or has restarted it too often.
unit=$1
shift
until "$@" >/run/labkit-wait.$$ 2>&1; do
  if [ -n "$unit" ]; then
    load=$(systemctl show --property=LoadState --value "$unit" 2>/dev/null)
    case "$load" in '' | loaded) ;; *) echo "systemd says: $load"; exit 3 ;; esac
    # a restart whose stop took too long fails for a moment, and its start is still to come
    job=$(systemctl show --property=Job --value "$unit" 2>/dev/null)
    if [ "${job:-0}" = 0 ] && systemctl --quiet is-failed "$unit"; then
      echo "systemd gave up on it"
      exit 4
    fi
  fi
  sleep 0.2
done
rm -f /run/labkit-wait.$$
