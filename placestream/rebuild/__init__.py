"""`placestream rebuild`: states of new definitions, from the archive."""
