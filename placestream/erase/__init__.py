"""`placestream erase-user`: a person leaves Redis, the archive and later trainings."""
