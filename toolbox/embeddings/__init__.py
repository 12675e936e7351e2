"""Embeddings: text to vector."""
