"""Side-by-side measurements: each figure is a ratio taken in one run, never an absolute time."""
