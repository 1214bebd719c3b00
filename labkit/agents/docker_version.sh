# Ask a Docker Engine for its version. Argument: a file of variables that names it.
# The engine stands on the command line as well: by that the client is known.
set -a
# shellcheck source=/dev/null
. "$1"
exec docker --host="$DOCKER_HOST" version
