# Run a command as etcd's administrator, with the environment variables that etcdctl reads.
set -a
# shellcheck source=/dev/null
. /etc/etcd/etcdctl.env
exec "$@"
