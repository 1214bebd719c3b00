# Print "ready" if the lab is up, "host=ADDRESS" for each address of the Docker host that answered it,
# and "interrupted WHO" for each change that was not undone, because
# its process ended before. Arguments: the file that exists while the lab is up, the record of the
# lab's edits, and the folder of the records of what has to be undone.
[ ! -e "$1" ] || { echo ready && sed 's/^/host=/' "$1"; }
who=$(sed -n '/"before"/s/.*"who": "\([^"]*\)".*/\1/p' "$2" 2>/dev/null)
[ -z "$who" ] || echo "interrupted $who"
cd "$3" 2>/dev/null || exit 0
for record in *; do
  [ -f "$record" ] || continue
  server=$(sed -n 3p "$record")
  if [ -n "$server" ] && read -r stat 2>/dev/null <"/proc/${server% *}/stat"; then
    # the 22nd field is the start time; the second may hold blanks
    # shellcheck disable=SC2086
    set -- ${stat##*) }
    shift 19
    [ "$1" != "${server#* }" ] || continue
  fi
  echo "interrupted $(sed -n 1p "$record")"
done
