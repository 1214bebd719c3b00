"""A cluster read from the files copied from its machines."""
