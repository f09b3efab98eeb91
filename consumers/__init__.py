"""The partner: plaintext again, on the partner's own machine."""
