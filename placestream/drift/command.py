"""The `placestream drift` commands."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from placestream.command import load_settings, run_task

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Look at how far what is served has moved from what the models were trained on.\n\n"
    "`retrain` watches it all the time; this looks at the archive, at any version.\n\n"
    "Needs the archive and the models' folder.\n\n"
    "Example: `placestream drift report --html drift.html`",
)


@app.callback()
def root() -> None:
    """Keep `report` a subcommand, although it is the only one."""


@app.command()
def report(
    version: Annotated[
        int | None, typer.Option(help="Of the models; without it the one in service.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page to look at, one file.", dir_okay=False),
    ] = None,
) -> None:
    """Judge the newest archived answers by the detectors that `retrain` runs.

    PSI and KS of every column, MMD of all together, and (with --html) how the most changed columns
    are distributed now and were expected to be: docs/drift.md says how to read them.

    Needs the archive that `stream` writes and the models' folder; no server.

    Example: `placestream drift report --version 12 --html drift.html`
    """
    settings = load_settings()
    from models.report.page import write
    from placestream.drift import report as drift

    found = run_task(lambda: drift.judge(settings, version))
    Console().print(drift.table(found))
    if out is not None:
        run_task(lambda: write(drift.page_of(found), out))
