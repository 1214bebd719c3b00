"""Predict which control stops which use of a service account's token."""

from __future__ import annotations

from labkit.workshop.exercises._flips import flips

__all__ = ["EXERCISE"]

EXERCISE = flips(
    "tokens-1",
    "What is a token worth?",
    "09-service-account-tokens",
    "insecure",
    (
        "abac-least-privilege",
        "bound-tokens",
        "controller-service-accounts",
        "service-account-automount",
        "token-audience",
    ),
    (
        "agent-token",
        "controller-manager-token",
        "default-account",
        "long-lived-token",
        "pod-token",
        "token-replay",
    ),
    (
        "A policy looks at the account, not at how its token was found.",
        "A token in the object of a Secret is valid until the object is deleted.",
        "A token with another audience is refused before any policy is asked.",
        "The controller-manager may ask for the token of every account.",
    ),
    {
        "abac-least-privilege": (
            "agent-token",
            "default-account",
            "long-lived-token",
            "pod-token",
            "token-replay",
        ),
        "bound-tokens": ("long-lived-token",),
        "controller-service-accounts": (),
        "service-account-automount": ("pod-token",),
        "token-audience": ("token-replay",),
    },
)
