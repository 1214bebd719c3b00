# Sign a client's certificate, and print it. The request comes in on standard input.
# Arguments: the authority's certificate and key, and a folder for what openssl writes.
set -eu
umask 077
echo extendedKeyUsage=clientAuth >"$3/usages"
openssl x509 -req -CA "$1" -CAkey "$2" -CAserial "$3/serial" -CAcreateserial -days 1 \
  -extfile "$3/usages" 2>/dev/null
