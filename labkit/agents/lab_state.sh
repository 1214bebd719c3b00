# Print "ready" if the lab is up, "host=ADDRESS" for each address of the Docker host that answered it,
# and "interrupted" if a change of its configuration did not end.
# Arguments: the file that exists while the lab is up, and the record of the lab's edits.
[ ! -e "$1" ] || { echo ready && sed 's/^/host=/' "$1"; }
! grep -qs '"before"' "$2" || echo interrupted
