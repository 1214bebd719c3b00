"""The syntax of the files that are read: systemd, YAML with lines, flags, URLs."""
