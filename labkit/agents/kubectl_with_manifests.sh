# Run kubectl with the manifests from standard input. Arguments: those of kubectl.
umask 077
trap 'rm -f /run/labkit-manifests.$$' EXIT
cat >/run/labkit-manifests.$$
kubectl "$@" --filename=/run/labkit-manifests.$$
