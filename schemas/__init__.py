"""The wire: what crosses a trust boundary, and nothing else."""
