# Take a lock: create a folder, as soon as no other process holds it. Argument: the folder.
# A folder older than four minutes is the lock of a process that died; it is removed.
until mkdir "$1" 2>/dev/null; do
  find "$1" -maxdepth 0 -mmin +4 -exec rmdir {} + 2>/dev/null
  sleep 0.2
done
