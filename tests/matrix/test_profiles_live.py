"""What a profile adds ends as predicted in its labs, with each of its controls flipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import controls, techniques
from labkit.lab.parallel import in_parallel
from labkit.matrix import Cell, Matrix, run_matrix, variants
from labkit.resources import split_mode

pytestmark = pytest.mark.lab
USUAL = ("insecure", "hardened")
PAIRS = sorted({it.modes for it in techniques.values()} - {USUAL})
#: Where a flip changes the reason to one that is not the other mode's: of the store and the
#: level, either alone keeps an attacker from reading secrets in the logs.
NO_BODY = "the store is open, but its events have no answers: level Metadata"
KNOWN_AS = "known as oidc:system:kube-controller-manager"
OTHER_REASONS = {
    ("oidc-insecure", "oidc-prefix", "oidc-user-collision"): KNOWN_AS,
    ("oidc-hardened", "oidc-registration", "oidc-user-collision"): KNOWN_AS,
    ("logs-insecure", "audit-without-bodies", "read-secrets-in-logs"): NO_BODY,
    ("logs-hardened", "journal-gateway-closed", "read-secrets-in-logs"): NO_BODY,
}
#: Flips that change nothing by themselves.
IDLE = {
    ("logs-hardened", "audit-without-bodies", "read-secrets-in-logs"),
    ("oidc-hardened", "oidc-prefix", "oidc-user-collision"),
}


@pytest.mark.parametrize(
    "modes",
    [pytest.param(pair, marks=pytest.mark.profile(split_mode(pair[0])[0])) for pair in PAIRS],
    ids=lambda pair: split_mode(pair[0])[0],
)
def test_cells_of_a_profile_agree_live(
    modes: tuple[str, str],
    lab_of: Callable[[str], Any],
    reason_in: Callable[..., str],
    settled: Callable[..., list[str]],
) -> None:
    """Try both labs at once: half of the time is waiting."""
    known = [it for it in techniques.values() if it.modes == modes]
    named = [it.name for it in controls.values() if it.modes == modes]

    def tried(mode: str) -> Matrix:
        lab = lab_of(mode)
        matrix = Matrix(run_matrix(lab, variants(lab.environment, named), known=known))
        # a role of etcd that was changed and changed back is not the same: a reset puts it back
        lab.reset()
        assert settled(lab) == [], mode
        return matrix

    lab_of(modes[0])
    for mode, matrix in zip(modes, in_parallel(modes, tried), strict=True):
        assert len(matrix) == (1 + len(named)) * sum(len(it.footholds) for it in known)
        assert matrix.exit_code == 0, (mode, [*matrix.disagree, *matrix.unprobed])
        for cell in matrix:
            wanted = expected(cell, modes, reason_in)
            assert cell.reason == wanted, (*cell.variant, *cell.place)


def expected(cell: Cell, modes: tuple[str, str], reason_in: Callable[..., str]) -> str:
    """Return the reason that was written down by hand: the other mode's, where a flip decides."""
    key = (cell.environment, cell.control or "", cell.technique)
    if key in OTHER_REASONS:
        return OTHER_REASONS[key]
    decides = cell.control and cell.technique in controls[cell.control].stops and key not in IDLE
    [other] = set(modes) - {cell.environment}
    return reason_in(cell.technique, other if decides else cell.environment, cell.foothold)
