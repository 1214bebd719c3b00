# Ask a Docker Engine for its version. Argument: a file of variables that names the engine.
# The command line names the engine too, so that the probe recognizes the client's process.
set -a
# shellcheck source=/dev/null
. "$1"
exec docker --host="$DOCKER_HOST" version
