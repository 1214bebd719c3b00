"""A cluster read from the objects that its apiserver shows."""
