"""Telling people apart: normalised identifiers, match keys, comparison of plaintext."""
