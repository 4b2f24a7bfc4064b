"""`placestream skew`: what was served, against what the archive gives."""
