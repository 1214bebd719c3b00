"""Requests to the apiserver and the kubelets, with and without credentials."""
