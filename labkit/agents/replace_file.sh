# Replace a file by standard input: a reader finds the old content or the new. Only root may
# read it. Argument: its path. In JSON, the string "@SERVER@" stands for the process that runs this
# program.
set -eu
umask 077
mkdir -p "$(dirname "$1")"
sed "s/\"@SERVER@\"/\"${LABKIT_SERVER:-}\"/" >"$1.new"
mv "$1.new" "$1"
