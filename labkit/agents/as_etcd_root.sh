# Run a command as etcd's administrator: with what etcdctl reads from its environment.
set -a
# shellcheck source=/dev/null
. /etc/etcd/etcdctl.env
exec "$@"
