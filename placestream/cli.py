"""The `placestream` command: one subcommand for each role, and some to try things out.

What a subcommand needs is imported inside it: TensorFlow alone takes seconds to load, and
`placestream settings` must not wait for it.
"""

from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console

from placestream import try_it
from placestream.audit.command import audit
from placestream.backfill.command import backfill
from placestream.capacity.command import plan
from placestream.command import EXIT_FAILED, load_settings, run_role, run_task
from placestream.dlq import command as dlq
from placestream.drift import command as drift
from placestream.erase.command import erase_user
from placestream.evaluation.command import evaluate
from placestream.experiments import command as experiments
from placestream.rebuild.command import rebuild
from placestream.skew.command import skew
from placestream.token import command as token

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,  # a traceback goes through the log, which hides secrets
    help="A streaming-first, real-time recommender of places.\n\n"
    "Every role reads its settings from the environment (`PLACESTREAM_*`) or from a "
    "`.env` file in the current directory; `placestream settings` lists them. "
    "New here? Try `placestream demo`.",
)

ROLES, TRY, DATA, ACCESS = "Roles", "Try it", "Data and models", "Access"
app.add_typer(dlq.app, name="dlq", rich_help_panel=DATA)
app.add_typer(drift.app, name="drift", rich_help_panel=DATA)
app.add_typer(experiments.app, name="experiments", rich_help_panel=DATA)
app.add_typer(token.app, name="token", rich_help_panel=ACCESS)


@app.callback(invoke_without_command=True)
def root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Handle what is asked of the command itself."""
    if show_version:
        typer.echo(version("placestream"))
        raise typer.Exit


@app.command(rich_help_panel=ROLES)
def stream() -> None:
    """Turn events into features: the Faust worker.

    Reads interactions, place updates and context from Kafka, keeps the features of users and
    places in Redis up to date, and writes every event to the archive. Bad events go to dead-letter
    topics. Run as many as there are partitions.

    Needs Kafka and Redis; waits for them if they are not there yet.

    Example: `PLACESTREAM_KAFKA_BOOTSTRAP=kafka:9092 placestream stream`
    """
    settings = load_settings("stream")
    from streams.worker import run

    run_role(lambda: run(settings))


@app.command(rich_help_panel=ROLES)
def serve() -> None:
    """Answer "what should this user see here, now?": the gRPC service.

    Finds the places near the user, asks the models for an order, and returns the best with what
    led to them. The protocol is `contracts/placestream/v1/recommendation.proto`.

    Needs Redis, Kafka (for the catalogue) and a model server; waits for them, and reports itself
    healthy (gRPC health check) once they answer.

    Example: `PLACESTREAM_SERVE_PORT=8600 placestream serve`
    """
    settings = load_settings("serve")
    from inference.server import run

    run_role(lambda: run(settings))


@app.command("model-server", rich_help_panel=ROLES)
def model_server() -> None:
    """Serve the models: an embedded stand-in for TensorFlow Serving.

    Speaks TensorFlow Serving's protocol and reads the same configuration file, so that in
    production `tensorflow/serving` takes its place with one address changed.

    Needs a directory of exported models (`PLACESTREAM_MODELS_DIR`), which may still be
    empty: new versions are picked up while it runs.

    Example: `PLACESTREAM_MODELS_DIR=var/models placestream model-server`
    """
    settings = load_settings("model-server")
    from inference.model_server.server import run

    run_role(lambda: run(settings))


@app.command(rich_help_panel=ROLES)
def retrain(
    now: Annotated[
        str | None,
        typer.Option("--now", metavar="REASON", help="Ask for one retraining, and exit."),
    ] = None,
    if_due: Annotated[
        bool,
        typer.Option("--if-due", help="Ask for one if the models are a week old, and exit."),
    ] = False,
) -> None:
    """Watch the data drift, and train new models when it is time: the trainer.

    Listens for requests to retrain, trains, checks the new models against those in service, and
    brings them into service if they are better. Also makes such requests itself.

    With --now it only sends one request, which a running trainer then works off. With --if-due it
    sends one unless a trainer, or an earlier --if-due, has asked already: for a schedule.

    Needs Kafka, Redis, the archive that `stream` writes, and a model server.

    Example: `placestream retrain --now "new neighbourhood opened"`
    """
    settings = load_settings("retrain")
    if if_due:
        from placestream.request_retrain import request_if_due

        asked = run_task(lambda: request_if_due(settings))
        typer.echo(asked or "No training is due, or one has been asked for.")
        return
    if now is not None:
        from placestream.request_retrain import request_retrain

        typer.echo(run_task(lambda: request_retrain(settings, now)))
        return
    from retrain.daemon import run

    run_role(lambda: run(settings))


@app.command(rich_help_panel=DATA)
def train() -> None:
    """Train both models once, from the archive, and export them.

    Writes a new version under `PLACESTREAM_MODELS_DIR`. What `retrain` does by itself, by hand: for
    the first models, or to try a change.

    Needs the archive that `stream` has written; no server.

    Example: `PLACESTREAM_TRAIN_EPOCHS=5 placestream train`
    """
    settings = load_settings("train")
    from models.train import run

    run_task(lambda: run(settings))


@app.command(rich_help_panel=DATA)
def replay() -> None:
    """Recompute all features from the archive, and compare them with those in Redis.

    Folds every archived event with the same definitions that the stream uses, and says how many
    users and places agree; differences are listed, and make the exit code 1. Events that are not
    yet archived count as differences, so compare when the stream is idle.

    Needs the archive and Redis.

    Example: `placestream replay`
    """
    settings = load_settings()
    from placestream.replay import run

    if not run_task(lambda: run(settings, Console())):
        raise typer.Exit(EXIT_FAILED)


app.command(rich_help_panel=DATA)(evaluate)
app.command(rich_help_panel=DATA)(skew)
app.command(rich_help_panel=DATA)(rebuild)
app.command(rich_help_panel=DATA)(backfill)
app.command(rich_help_panel=DATA)(plan)
app.command(rich_help_panel=DATA)(audit)
app.command("erase-user", rich_help_panel=ACCESS)(erase_user)
app.command(rich_help_panel=TRY)(try_it.simulate)
app.command(rich_help_panel=TRY)(try_it.recommend)


@app.command(rich_help_panel=ROLES)
def console(
    user: Annotated[str, typer.Option(help="User to show first.")] = "",
    lat: Annotated[float | None, typer.Option(help="Where to show first: latitude.")] = None,
    lng: Annotated[float | None, typer.Option(help="Where to show first: longitude.")] = None,
) -> None:
    """Serve a page that shows everything at work: the console.

    A map of the places: ask anywhere as any user, send events and watch the answer and the user's
    features change; lag and freshness of the streams, drift, experiments, versions of the models.

    Prints an address with a token in it when it starts; nothing is shown or done without the token.
    Listens on this machine only, unless PLACESTREAM_CONSOLE_HOST says otherwise.

    Needs Kafka (for the places), Redis and `serve`; says on the page which of them is away.

    Example: `placestream console --user 42`
    """
    settings = load_settings("console")
    from placestream.console import server
    from placestream.console.address import token_of

    places = {} if lat is None or lng is None else {"lat": f"{lat:.5f}", "lng": f"{lng:.5f}"}
    scene = ({"user": user} if user else {}) | places
    token = token_of(settings)
    run_task(lambda: server.run(settings, token=token, say=typer.echo, scene=scene))


app.command(rich_help_panel=TRY)(try_it.demo)
app.command(rich_help_panel=TRY)(try_it.up)
app.command(rich_help_panel=TRY)(try_it.settings)
