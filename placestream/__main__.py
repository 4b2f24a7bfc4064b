"""`python -m placestream` is the `placestream` command."""

from placestream.cli import app

app(prog_name="placestream")
