# Keep the records of what has to be undone. Arguments: their folder, and what to do:
# "add NAME" writes a record from standard input, whose first line says who made the change;
# "remove NAME" deletes it; "list" prints all, oldest first. Each record has a line before it: its
# name, and "own" if the caller made it, "running" if another process that still runs made it, or
# else "interrupted".
set -eu
mkdir -p "$1"
cd "$1"
case $2 in
add)
  umask 077
  { cat; echo "${LABKIT_SERVER:-}"; } >".$3"
  mv ".$3" "$3"
  ;;
remove) rm -f "$3" ;;
list)
  for name in *; do
    [ -f "$name" ] || continue
    who=$(sed -n 1p "$name") traces=$(sed -n 2p "$name") server=$(sed -n 3p "$name")
    state=interrupted
    if [ -n "$server" ] && [ "$server" = "${LABKIT_SERVER:-}" ]; then
      state=own
    elif [ -n "$server" ] && read -r stat 2>/dev/null <"/proc/${server% *}/stat"; then
      # the 22nd field is the start time; the second may hold blanks
      # shellcheck disable=SC2086
      set -- ${stat##*) }
      shift 19
      [ "$1" != "${server#* }" ] || state=running
    fi
    printf '%s %s\n%s\n%s\n' "$name" "$state" "$who" "$traces"
  done
  ;;
esac
