"""The console: a page that shows the whole product at work, and lets its engineer act on it."""
