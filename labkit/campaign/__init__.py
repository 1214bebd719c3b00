"""Configurations at random: settings drawn from a catalogue, tried in a lab, compared, shrunk.

The truth matrix flips controls, which we wrote. A campaign draws from everything that labkit
reads, in combinations that nobody chose, and looks for a claim or a prediction that the lab
contradicts.
"""

from __future__ import annotations

from labkit.campaign.catalogue import catalogue
from labkit.campaign.draws import Choice, draw, edits_of
from labkit.campaign.outcome import Campaign, Difference, Outcome
from labkit.campaign.overlay import Overlay, read_overlay, write_overlay
from labkit.campaign.run import run_campaign
from labkit.campaign.trial import Trial, try_configuration

__all__ = [
    "Campaign",
    "Choice",
    "Difference",
    "Outcome",
    "Overlay",
    "Trial",
    "catalogue",
    "draw",
    "edits_of",
    "read_overlay",
    "run_campaign",
    "try_configuration",
    "write_overlay",
]
