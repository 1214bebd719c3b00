# Make systemd act on files that were written or deleted. Arguments, each a list of words:
# units to disable, units to restart, files to delete, files of tmpfiles.d, files of sysusers.d, and
# the files of systemd itself that changed: without one, it need not read all of its own again.
# shellcheck disable=SC2086 # the arguments are lists of words
set -e
removed=$1 started=$2 files=$3 rules=$4 accounts=$5 own=$6
[ -z "$removed" ] || systemctl disable --quiet --now $removed
[ -z "$files" ] || rm -f $files
[ -z "$accounts" ] || systemd-sysusers $accounts
[ -z "$rules" ] || systemd-tmpfiles --create $rules
[ -z "$own" ] || systemctl daemon-reload
[ -z "$started" ] || {
  systemctl reset-failed
  # a unit may fail until another machine is changed; systemd starts it again
  systemctl restart $started || true
}
