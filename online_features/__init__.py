"""Features: defined once, folded from events, kept packed in Redis, read in one round trip."""
