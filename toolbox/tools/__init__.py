"""Tools: what they are, how a function becomes one, and where they are kept."""
