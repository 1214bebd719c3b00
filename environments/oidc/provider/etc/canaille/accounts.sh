# The accounts and clients of the first start; later, the clients again whenever their file is a new
# one. The image has an empty database with Canaille's tables.
set -eu
canaille=/opt/canaille/bin/canaille
if [ ! -e canaille.sqlite ]; then
  cp /opt/canaille/empty.sqlite new.sqlite
  chmod 0600 new.sqlite
  export CANAILLE_SQL__DATABASE_URI=sqlite:////var/lib/canaille/new.sqlite CANAILLE_CONFIG=/dev/null
  $canaille restore < /etc/canaille/directory.json
  $canaille restore < /etc/canaille/clients.json
  cp /etc/canaille/clients.json .
  mv new.sqlite canaille.sqlite
  exit 0
fi
cmp -s /etc/canaille/clients.json clients.json && exit 0
$canaille delete client --noconfirm
$canaille restore < /etc/canaille/clients.json
cp /etc/canaille/clients.json .
