# Wait until a folder can be made: it is there while another has its turn. Argument: the folder.
# One that is older than a turn can take is one that was never given back.
until mkdir "$1" 2>/dev/null; do
  find "$1" -maxdepth 0 -mmin +4 -exec rmdir {} + 2>/dev/null
  sleep 0.2
done
