"""`placestream backfill`: all features over the whole archive, by Spark."""
