"""Asking the apiserver and the kubelets, with and without credentials."""
