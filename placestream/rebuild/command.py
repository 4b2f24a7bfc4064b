"""The command line of `placestream rebuild`."""

from typing import Annotated

import typer
from rich.console import Console

from placestream.command import load_settings, run_task


def rebuild(
    force: Annotated[
        bool, typer.Option("--force", help="Drop what workers have folded, and fold anew.")
    ] = False,
    with_gaps: Annotated[
        bool, typer.Option("--with-gaps", help="Fold although events are missing.")
    ] = False,
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Instead: delete the states of other definitions.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
) -> None:
    """Fill the states of changed feature definitions from the archive.

    Changed definitions have states of their own, beside the old ones. Run this with the new code
    while workers and services of the old code go on; then start workers of the new code, which
    read on from where the archive ends, then services. At last, --drop-old frees the memory.
    Broken off, it goes on from there when it is run again.

    Needs the archive, Kafka and Redis.

    Example: `placestream rebuild`, later `placestream rebuild --drop-old`
    """
    settings = load_settings()
    if drop_old:
        from placestream.rebuild.drop_old import run as drop

        run_task(lambda: drop(settings, Console(), lambda text: yes or typer.confirm(text)))
        return
    from placestream.rebuild.run import run

    run_task(lambda: run(settings, Console(), force=force, with_gaps=with_gaps))
