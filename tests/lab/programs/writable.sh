# Print for each file that exists whether it can be opened for writing; nothing is written.
for setting; do
  [ -e "$setting" ] || continue
  if (: >> "$setting") 2>/dev/null; then echo "$setting writable"; else echo "$setting refused"; fi
done
