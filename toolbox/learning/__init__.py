"""Learning from use: what was called after a search lifts that tool for searches like it."""
