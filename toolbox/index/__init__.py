"""What is searched: the texts of a tool, its words with their weights, and its embedding per model."""
