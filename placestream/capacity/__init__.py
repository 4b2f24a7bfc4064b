"""`placestream plan`: how much of everything a load needs, and what it costs."""
