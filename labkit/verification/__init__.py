"""The model held against the lab: every claim probed, live, with the reason of each verdict."""

from labkit.verification.report import Report, Row
from labkit.verification.run import verify

__all__ = ["Report", "Row", "verify"]
