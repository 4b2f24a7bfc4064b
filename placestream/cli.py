"""The `placestream` command: one subcommand for each role, and some to try things out.

What a subcommand needs is imported inside it: TensorFlow alone takes seconds to load, and
`placestream settings` must not wait for it.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from placestream import show_settings
from placestream.audit.command import audit
from placestream.backfill.command import backfill
from placestream.capacity.command import plan
from placestream.command import EXIT_FAILED, give_up, load_settings, run_role, run_task
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
        from retrain.publish import NotPublished

        try:
            typer.echo(request_retrain(settings, now))
        except NotPublished as error:
            give_up(f"Kafka at {settings.kafka_bootstrap} did not take the request: {error}")
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


@app.command(rich_help_panel=TRY)
def simulate(
    users: Annotated[int, typer.Option(help="How many people live in the city.")] = 1_000,
    places: Annotated[int, typer.Option(help="How many places it has.")] = 1_500,
    days: Annotated[float, typer.Option(help="How many days of history.")] = 30,
    rate: Annotated[
        float | None, typer.Option(help="Then live events a second, until Ctrl-C.", min=0)
    ] = None,
    checkins: Annotated[
        Path | None,
        typer.Option(help="A file of real check-ins to send instead.", exists=True, dir_okay=False),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed is another city.")] = None,
    string_ids: Annotated[
        bool, typer.Option("--string-ids", help="Ids are text, not integers.")
    ] = False,
) -> None:
    """Send the events of a made-up city (or of a file of real check-ins) to Kafka.

    Places with categories, hours and prices; people with tastes and habits; weather and traffic.
    First its history, as fast as Kafka takes it, then live events if a rate is given.

    Needs Kafka.

    Example: `placestream simulate --users 500 --days 14 --rate 20`
    """
    settings = load_settings("simulate")
    from placestream.simulation.command import simulate as send

    run_task(
        lambda: send(
            settings,
            users=users,
            places=places,
            days=days,
            rate=rate,
            checkins=checkins,
            seed=seed,
            string_ids=string_ids,
        ),
    )


@app.command(rich_help_panel=TRY)
def recommend(
    user: Annotated[str, typer.Option(help="User id, an integer or any text.")],
    lat: Annotated[float, typer.Option(help="Latitude, degrees.")],
    lng: Annotated[float, typer.Option(help="Longitude, degrees.")],
    limit: Annotated[int, typer.Option(help="How many places.")] = 10,
    radius_m: Annotated[float, typer.Option(help="How far to look; 0: the service decides.")] = 0,
    category: Annotated[
        list[str] | None, typer.Option(help="Only this category (may be repeated).")
    ] = None,
    open_now: Annotated[
        bool, typer.Option("--open-now", help="Only places that are open.")
    ] = False,
    min_price: Annotated[int, typer.Option(help="Lowest price level, 1 to 4.")] = 0,
    max_price: Annotated[int, typer.Option(help="Highest price level, 1 to 4.")] = 0,
    min_rating: Annotated[float, typer.Option(help="Lowest rating, 0 to 5.")] = 0,
    max_distance_m: Annotated[
        float, typer.Option(help="Nothing farther away, however thin the area; 0: any.")
    ] = 0,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Never this place (may be repeated).")
    ] = None,
    novelty: Annotated[
        Literal["both", "new", "known"],
        typer.Option(help="Places that are new to the user, or not."),
    ] = "both",
    diversity: Annotated[
        float | None, typer.Option(help="How varied, 0 to 1; the service decides.", min=0, max=1)
    ] = None,
    explore: Annotated[
        int | None, typer.Option(help="Slots for places of which little is known.", min=0)
    ] = None,
    page: Annotated[str, typer.Option(help="Token of the page that the last answer named.")] = "",
    explain: Annotated[bool, typer.Option("--explain", help="Say why, place by place.")] = False,
    address: Annotated[
        str | None, typer.Option(help="host:port of the service, if not that of the settings.")
    ] = None,
    timeout_ms: Annotated[int, typer.Option(help="How long to wait.", min=1)] = 5_000,
) -> None:
    """Ask the service for recommendations, and show the answer.

    Prints the places, the versions of the models, how complete the service was (degradation), and
    how long each stage took.

    Needs a running `serve`.

    Example: `placestream recommend --user 42 --lat 40.73 --lng -73.99 --explain`
    """
    settings = load_settings()
    from placestream import ask
    from placestream.caller import Caller

    host = "127.0.0.1" if settings.serve_host in ("0.0.0.0", "[::]", "::") else settings.serve_host
    question = ask.Question(
        user_id=user,
        lat=lat,
        lng=lng,
        limit=limit,
        radius_m=radius_m,
        categories=tuple(category or ()),
        open_now=open_now,
        explain=explain,
        min_price_level=min_price,
        max_price_level=max_price,
        min_rating=min_rating,
        max_distance_m=max_distance_m,
        exclude=tuple(exclude or ()),
        familiarity=ask.NOVELTY[novelty],
        diversity=diversity,
        explore_slots=explore,
        page_token=page,
    )
    try:
        caller = Caller.of(settings)
        answer = ask.ask(address or f"{host}:{settings.serve_port}", question, timeout_ms, caller)
    except (ask.Refused, OSError) as error:
        give_up(error)
    ask.show(answer, Console(), explain=explain)


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


@app.command(rich_help_panel=TRY)
def demo(
    checkins: Annotated[
        Path | None,
        typer.Option(help="A file of real check-ins to run on.", exists=True, dir_okay=False),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Stay up at the end.")] = False,
    svg: Annotated[
        Path | None, typer.Option(help="Save the last part as a picture.", dir_okay=False)
    ] = None,
) -> None:
    """Show the whole loop on this machine, in some minutes, from nothing.

    Starts everything, simulates a city, trains both models, asks for recommendations, sends three
    fresh events of that user, and shows how the answer changes and how soon.

    Needs nothing but this machine: a broker and Redis come with it. Ctrl-C stops everything.

    Example: `placestream demo --keep`
    """
    settings = load_settings("demo")
    from placestream.demo import run
    from placestream.stack.signals import Ended

    try:
        run_task(lambda: run(settings, checkins=checkins, keep=keep, svg=svg))
    except Ended as ended:
        raise typer.Exit(ended.exit_code) from None


@app.command(rich_help_panel=TRY)
def up(
    directory: Annotated[
        Path, typer.Option("--dir", help="Where data, models and logs go; kept.")
    ] = Path("var/up"),
    broker: Annotated[
        Literal["auto", "kafka", "mock"],
        typer.Option(help="Real Kafka, one in memory, or the best that this machine can have."),
    ] = "auto",
    roles: Annotated[
        str, typer.Option(help="Which roles, with commas.")
    ] = "stream,model-server,serve,retrain",
) -> None:
    """Start servers and roles on this machine, print where they are, and stay until Ctrl-C.

    Kafka, Redis, and every role as a process of its own. Data is kept for the next time (not with
    the broker in memory). The usual ports are taken where they are free. The file `env` in the
    directory makes another shell's `placestream` talk to this stack.

    Needs Java 17 and Maven (once) for real Kafka; without them the broker is one in memory.

    Example: `placestream up --dir var/up`
    """
    settings = load_settings()
    from placestream import up as stack
    from placestream.stack.signals import Ended

    chosen = [role.strip() for role in roles.split(",") if role.strip()]
    if unknown := set(chosen) - set(stack.ROLES):
        give_up(f"no such role: {', '.join(sorted(unknown))} (there are {', '.join(stack.ROLES)})")
    try:
        run_task(
            lambda: stack.run(
                settings, run_dir=directory, broker=broker, roles=chosen, console=Console()
            )
        )
    except Ended as ended:
        raise typer.Exit(ended.exit_code) from None


@app.command(rich_help_panel=TRY)
def settings(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """List every setting: its environment variable, its value here, and what it means.

    Passwords are hidden. What differs from the default is marked.

    Example: `PLACESTREAM_PARTITIONS=16 placestream settings`
    """
    current = load_settings()
    if as_json:
        typer.echo(show_settings.as_json(current))
    else:
        Console().print(show_settings.as_table(current))
