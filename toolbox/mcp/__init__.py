"""The Model Context Protocol, both eras, on one URL."""
