"""Read a cluster from the files copied from its machines."""
