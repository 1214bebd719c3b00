# Run kubectl on the manifests that come in on standard input. Arguments: kubectl's.
umask 077
trap 'rm -f /run/labkit-manifests.$$' EXIT
cat >/run/labkit-manifests.$$
kubectl "$@" --filename=/run/labkit-manifests.$$
