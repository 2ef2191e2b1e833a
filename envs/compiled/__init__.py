"""Loops that numba compiles: what runs between two steps of the fast worlds and may not cost Python's time."""
