"""The syntax of configuration files: systemd units, YAML with line numbers, flags, URLs."""
