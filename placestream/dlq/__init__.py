"""`placestream dlq`: look at dead letters, and replay those that are mended."""
