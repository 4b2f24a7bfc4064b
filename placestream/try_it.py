"""The subcommands to try things out with: `simulate`, `recommend`, `demo`, `up` and `settings`.

As in `placestream.cli`, what each needs is imported inside it.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from placestream import show_settings
from placestream.command import give_up, load_settings, run_task


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
    where = address or f"{host}:{settings.serve_port}"
    answer = run_task(lambda: ask.ask(where, question, timeout_ms, Caller.of(settings)))
    ask.show(answer, Console(), explain=explain)


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
    ] = "stream,model-server,serve,retrain,console",
) -> None:
    """Start servers and roles on this machine, print where they are, and stay until Ctrl-C.

    Kafka, Redis, and every role as a process of its own, the console too, whose address with its
    token is printed. Data is kept for the next time (not with
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
