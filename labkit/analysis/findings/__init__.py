"""Findings: the threats that apply to a model, open or mitigated."""
