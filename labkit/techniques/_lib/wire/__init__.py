"""Traffic: making it, capturing it, reading it, standing in its way."""
