"""What etcd and Docker keep, and the secrets that prove it."""
