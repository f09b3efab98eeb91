"""The exchange: blind."""
