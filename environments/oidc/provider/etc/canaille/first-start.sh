# The accounts of the first start. The image has an empty database with Canaille's tables.
set -eu
[ -e canaille.sqlite ] && exit 0
cp /opt/canaille/empty.sqlite new.sqlite
chmod 0600 new.sqlite
CANAILLE_SQL__DATABASE_URI=sqlite:////var/lib/canaille/new.sqlite CANAILLE_CONFIG=/dev/null \
  /opt/canaille/bin/canaille restore < /etc/canaille/directory.json
mv new.sqlite canaille.sqlite
