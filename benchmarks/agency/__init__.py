"""The agency's edge, measured end to end."""
