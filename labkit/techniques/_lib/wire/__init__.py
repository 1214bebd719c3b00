"""Network traffic: cause it, capture it, decode it, intercept it."""
