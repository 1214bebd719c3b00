# Print "ready" if the lab is up, and "interrupted" if a change of its configuration did not end.
# Arguments: the file that exists while the lab is up, and the record of the lab's edits.
[ ! -e "$1" ] || echo ready
! grep -qs '"before"' "$2" || echo interrupted
