"""How well identity works, on data that this project did not write: `make bench-identity`."""
