"""Training sets, the candidate and ranking models, their evaluation and their export."""
