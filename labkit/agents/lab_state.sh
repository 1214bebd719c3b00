# Print "ready" if the lab is up, "host=ADDRESS" for each address of the Docker host that answered it,
# and for each change that was not undone: "interrupted WHO", or "running WHO" if the process that
# made it still runs. Arguments: the file that exists while the lab is up, the record of the lab's
# edits, and the folder of the records of what has to be undone.
say() { # arguments: who made a change, and the process here that served them
  state=interrupted
  if [ -n "$2" ] && read -r stat 2>/dev/null <"/proc/${2% *}/stat"; then
    # the 22nd field is the start time; the second may hold blanks
    # shellcheck disable=SC2086
    began=$(set -- ${stat##*) } && shift 19 && echo "$1")
    [ "$began" != "${2#* }" ] || state=running
  fi
  echo "$state $1"
}
[ ! -e "$1" ] || { echo ready && sed 's/^/host=/' "$1"; }
edits=$(grep '"before"' "$2" 2>/dev/null)
who=$(echo "$edits" | sed -n 's/.*"who": "\([^"]*\)".*/\1/p')
[ -z "$who" ] || say "$who" "$(echo "$edits" | sed -n 's/.*"server": "\([^"]*\)".*/\1/p')"
cd "$3" 2>/dev/null || exit 0
for record in *; do
  [ ! -f "$record" ] || say "$(sed -n 1p "$record")" "$(sed -n 3p "$record")"
done
