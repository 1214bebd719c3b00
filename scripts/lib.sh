# Functions that the scripts in this folder share. Source this file with `.`; do not run it.

say() { printf ' • %s\n' "$*" >&2; }

# fail WHAT WHAT-TO-DO
fail() {
  printf 'error: %s\n  next: %s\n' "$1" "$2" >&2
  exit 1
}

is_debian() {
  (
    . /etc/os-release 2>/dev/null || exit 1
    case " ${ID:-} ${ID_LIKE:-} " in *' debian '* | *' ubuntu '*) ;; *) exit 1 ;; esac
  )
}

can_install() { is_debian && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

install() {
  local log
  log=$(mktemp)
  if ! {
    apt-get update &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
  } </dev/null >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "apt-get could not install $* (full log: $log)" "see the lines above"
  fi
  rm -f "$log"
}
