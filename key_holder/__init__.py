"""The independent party that evaluates blinded match keys and meters who asks."""
