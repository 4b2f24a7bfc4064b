"""The `placestream experiments` commands: look at pairs on trial, and decide by hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from placestream.command import load_settings, run_task

if TYPE_CHECKING:  # its room loads TensorFlow's protocol
    from contracts.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Look at pairs of models on trial, and decide by hand.\n\n"
    "`retrain` takes each pair that passed the gate through shadow and canary by itself. `list`, "
    "`show` and `report` say how it stands; `stop`, `promote` and `rollback` decide now, within "
    "seconds.\n\n"
    "Needs Redis; what decides needs Kafka, the models' folder and the model server too.\n\n"
    "Example: `placestream experiments show pair-12`",
)
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it: `pair-12`.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the history.")]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


@app.command("list")
def list_experiments(as_json: JsonOption = False) -> None:
    """List all experiments, the newest first: state, since when, and why.

    Needs Redis.

    Example: `placestream experiments list`
    """
    settings = load_settings()
    from placestream.experiments import reports

    found = run_task(lambda: reports.read_all(settings))
    if as_json:
        typer.echo(reports.as_json(found))
    else:
        Console().print(reports.table(found))


@app.command()
def show(experiment_id: IdArgument, as_json: JsonOption = False) -> None:
    """Report on one: each metric with its always-valid interval, users, shadow, and the history.

    The intervals hold however often one looks: docs/rollout.md says how to read them.

    Needs Redis.

    Example: `placestream experiments show pair-12`
    """
    settings = load_settings()
    from placestream.experiments import reports

    one = run_task(lambda: reports.read_one(settings, experiment_id))
    if as_json:
        typer.echo(reports.as_json(one))
    else:
        Console().print(reports.page(one))


@app.command()
def report(
    experiment_id: IdArgument,
    out: Annotated[Path, typer.Option("--html", help="Where to write it.", dir_okay=False)],
) -> None:
    """Write a page about one, to look at and to send around: one HTML file.

    What `show` tells, with the intervals drawn: metrics against their margins, users, shadow,
    held-out metrics and the history.

    Needs Redis.

    Example: `placestream experiments report pair-12 --html pair-12.html`
    """
    settings = load_settings()
    from models.report.page import write
    from placestream.experiments import html, reports

    found = run_task(lambda: reports.read_one(settings, experiment_id))
    run_task(lambda: write(html.page_of(found), out))
    typer.echo(str(out))


@app.command()
def stop(experiment_id: IdArgument, reason: ReasonOption = "") -> None:
    """End a trial: all users are back on the pair in service, and the new one is let go.

    Needs Redis, Kafka, the models' folder and the model server: run it where `retrain` runs.

    Example: `placestream experiments stop pair-12 --reason "complaints from uptown"`
    """
    _order(load_settings(), "stop", experiment_id, reason)


@app.command()
def promote(experiment_id: IdArgument, reason: ReasonOption = "") -> None:
    """Put a pair on trial into service now, whatever its canary has shown so far.

    Needs Redis, Kafka, the models' folder and the model server: run it where `retrain` runs.

    Example: `placestream experiments promote pair-12 --reason "the old one knows no new places"`
    """
    _order(load_settings(), "promote", experiment_id, reason)


@app.command()
def rollback(experiment_id: IdArgument, reason: ReasonOption = "") -> None:
    """Go back from a promoted pair to the one that was in service before it.

    Needs Redis, Kafka, the models' folder and the model server: run it where `retrain` runs.

    Example: `placestream experiments rollback pair-12 --reason "bookings fell"`
    """
    _order(load_settings(), "rollback", experiment_id, reason)


def _order(
    settings: "Settings",
    action: Literal["stop", "promote", "rollback"],
    experiment_id: str,
    reason: str,
) -> None:
    from placestream.experiments.orders import carry_out

    ended = run_task(lambda: carry_out(settings, action, experiment_id, reason))
    typer.echo(f"{ended.id}: {ended.state} ({ended.note})")
