"""Access to etcd, the Docker Engine and the secrets of the lab."""
