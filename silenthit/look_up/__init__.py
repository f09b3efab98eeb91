"""Look-up, as both edges ask it: who has touched this subject, and whom to call."""
