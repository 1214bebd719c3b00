# Sign a client certificate, and print it. The signing request is read from standard input.
# Arguments: the authority's certificate and key, and a folder for openssl's files.
set -eu
umask 077
echo extendedKeyUsage=clientAuth >"$3/usages"
openssl x509 -req -CA "$1" -CAkey "$2" -CAserial "$3/serial" -CAcreateserial -days 1 \
  -extfile "$3/usages" 2>/dev/null
