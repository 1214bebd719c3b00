"""Probe every claim of the model in a running lab, with the reason for each verdict."""

from labkit.verification.report import Report, Row
from labkit.verification.run import verify

__all__ = ["Report", "Row", "verify"]
