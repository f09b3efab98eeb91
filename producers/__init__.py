"""The agency: a record of its own becomes a touch."""
