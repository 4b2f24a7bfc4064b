"""The command line of `placestream skew`."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from placestream.command import EXIT_FAILED, load_settings, run_task


def skew(
    since: Annotated[
        datetime | None,
        typer.Option(help="Answers since then, UTC; without it: of the last day."),
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many answers, the newest.", min=1)] = 2_000,
    tolerance: Annotated[
        float, typer.Option(help="Relative difference of equal values.", min=0)
    ] = 1e-5,
    in_flight_ms: Annotated[
        float, typer.Option(help="Events so near to an answer may not be in it.", min=0)
    ] = 1_000,
    allow: Annotated[
        float, typer.Option(help="Share of mismatches that is allowed.", min=0, max=1)
    ] = 0.001,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Compare the features that answers were made of with those that the archive gives.

    Recomputes what the ranker saw, point in time, and counts for each feature: values that match,
    mismatch, are missing (not logged) or extra (not defined any more). An event that came at about
    the time of the answer may or may not have been in it: then either value matches, and one
    between them is undecided. More mismatches than --allow make the exit code 1.

    Needs Kafka and the archive that `stream` writes.

    Example: `placestream skew --since 2026-01-31 --limit 500`
    """
    settings = load_settings()
    from placestream.skew import report as skew_report
    from placestream.skew.comparison import Asked, run

    since_s = None if since is None else since.replace(tzinfo=UTC).timestamp()
    asked = Asked(since_s, limit, tolerance, in_flight_ms / 1_000)
    found = run_task(lambda: run(settings, asked))
    if as_json:
        typer.echo(skew_report.as_json(found))
    else:
        Console().print(skew_report.as_text(found))
    if found.mismatch_ratio > allow:
        raise typer.Exit(EXIT_FAILED)
