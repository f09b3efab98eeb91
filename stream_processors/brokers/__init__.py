"""What the operator does at the brokers: authority, rights, quotas, who is on board."""
