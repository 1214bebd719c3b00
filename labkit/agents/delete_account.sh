# Delete the account $1 of Canaille, an OpenID provider; one that is not there is no error. Its unit says
# where its files are.
set -eu
export CANAILLE_CONFIG=/etc/canaille/canaille.toml SECRETS_DIR=/etc/canaille/secrets
cd /var/lib/canaille
/opt/canaille/bin/canaille delete user --noconfirm --user-name "$1"
