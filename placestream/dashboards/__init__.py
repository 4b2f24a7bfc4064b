"""Grafana's dashboards, written as code: `python -m placestream.dashboards` makes their files."""
