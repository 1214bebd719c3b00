# Print the next request that the workload logs; one arrives every few seconds. Runs in its pod.
rm -f /tmp/request
tries=0
until [ -s /tmp/request ]; do
  tries=$((tries + 1))
  [ $tries -lt 250 ] || exit 1
  sleep 0.2
done
cat /tmp/request
