"""The attack graph: what can be held, by which step, derived in two ways."""
