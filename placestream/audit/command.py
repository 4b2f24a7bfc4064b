"""`placestream audit`: the story of an audit id."""

from typing import Annotated

import typer
from rich.console import Console

from placestream.command import load_settings, run_task


def audit(
    audit_id: Annotated[
        str, typer.Argument(metavar="ID", help="An audit id, or its first characters.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Tell the story of an audit id: trigger, training, gate, shadow, canary, and how it ended.

    Reads every event that carries the id from the topics of requests and of rollouts.

    Needs Kafka.

    Example: `placestream audit 6f1c2a`
    """
    settings = load_settings()
    from placestream.audit import story

    told = run_task(lambda: story.read(settings, audit_id))
    if as_json:
        typer.echo(story.as_json(told))
    else:
        Console().print(story.as_text(told))
