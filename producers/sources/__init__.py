"""Where records come from: one small module a source."""
