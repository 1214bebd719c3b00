# Print "ready" if the lab was up, and "interrupted" if a change of it has not ended.
# Arguments: the file that is there when the lab is up, and the record of its changes.
[ ! -e "$1" ] || echo ready
! grep -qs '"before"' "$2" || echo interrupted
