# Create a key in a new folder, and print a certificate signing request for it.
# Arguments: the folder, a user's name, and a group or "".
set -eu
umask 077
mkdir "$1"
subject="/CN=$2"
[ -z "$3" ] || subject="/O=$3$subject"
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1/key" \
  -subj "$subject" 2>/dev/null
