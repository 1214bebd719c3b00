"""The model held against the lab: every claim probed, live, with the reason of each verdict."""

from labkit.verify.report import Report, Row
from labkit.verify.run import verify

__all__ = ["Report", "Row", "verify"]
