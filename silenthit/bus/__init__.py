"""Kafka: clients, administration, the embedded broker."""
