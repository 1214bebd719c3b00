# Print the hash of a file on the machine, read through a Docker Engine. Arguments: the file, a
# name for the image and the container, and the options of docker's client that name the engine.
# The image holds only this machine's busybox. The container mounts the root of the machine's file
# systems read-only.
set -eu
# docker's client fails at a home folder that it may not search for certificates
export HOME=/nonexistent
file=$1 image=$2
shift 2
trap 'docker "$@" rmi --force "$image" >/dev/null 2>&1' EXIT
trap 'exit 143' TERM HUP
tar --directory=/ --create usr/bin/busybox 2>/dev/null | docker "$@" import - "$image" >/dev/null
docker "$@" run --rm --name="$image" --network=none --volume=/:/machine:ro "$image" \
  /usr/bin/busybox sha256sum "/machine$file"
