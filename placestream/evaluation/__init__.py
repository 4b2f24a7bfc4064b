"""`placestream evaluate`: the served system and the baselines, judged on real check-ins."""
