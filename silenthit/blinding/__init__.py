"""Blinding: tokens, epochs, sealing and opening."""
