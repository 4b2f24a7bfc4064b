"""`placestream experiments`: pairs of models on their way into service."""
