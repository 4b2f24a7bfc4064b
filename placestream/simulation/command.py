"""`placestream simulate`: a city's events to Kafka: its history, then (if asked for) its life."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka.admin import AdminClient
from rich.console import Console
from rich.table import Table

from contracts.kafka import client_config
from contracts.settings import Settings
from contracts.topics import create_topics
from placestream.simulation.checkins import load_checkins
from placestream.simulation.city import City
from placestream.simulation.plan import Plan
from placestream.simulation.producer import Backpressure, Sender, Sent
from placestream.simulation.source import Source, messages

#: The demonstration's city: two weeks less would leave few habits, more would take longer.
USERS, PLACES, DAYS = 1_000, 1_500, 30


def open_source(
    *,
    ending_s: float,
    seed: int,
    users: int = USERS,
    places: int = PLACES,
    days: float = DAYS,
    string_ids: bool = False,
    checkins: Path | None = None,
    venues: Path | None = None,
    time_zone: str | None = None,
    region: str | None = None,
) -> Source:
    """A simulated city whose history ends at `ending_s`, or a file of check-ins moved to end there.

    Args:
        ending_s: Unix seconds.
        seed: of the simulated city.
        users, places, days, string_ids: of the simulated city; see `plan.Plan`.
        checkins: file of check-ins; then the sizes and the seed do not matter.
        venues, time_zone, region: of the check-ins; see `checkins.load_checkins`.

    Raises:
        BadCheckIns: the file cannot be used; names line and column.
        ValueError: a size is out of range.
    """
    if checkins is not None:
        loaded = load_checkins(checkins, venues, time_zone=time_zone, region=region)
        return loaded.shift_to(ending_s)
    plan = Plan(users=users, places=places, days=days, string_ids=string_ids)
    return City(plan, ending_s=ending_s, seed=seed)


def stream_history(
    settings: Settings,
    source: Source,
    *,
    rate: float | None = None,
    backpressure: Backpressure | None = None,
    console: Console | None = None,
) -> Sent:
    """Create the topics that producers write (if the settings say so), and send all of a source.

    Waits for Kafka first.

    Args:
        settings: brokers and topics.
        source: what to send.
        rate: events a second, None for as fast as possible.
        backpressure: holds the producer while readers are behind.
        console: for the progress bar.

    Raises:
        KafkaException: no broker answers within a minute, or it refuses a topic.
        DeliveryFailed: a message was not taken; names the topic.
        ValueError: a topic exists with another number of partitions.
    """
    sender = Sender(settings, backpressure=backpressure, console=console)
    sender.wait_for_kafka()
    if settings.kafka_declares_topics:
        admin = AdminClient({**client_config(settings)})
        create_topics(admin, settings.topics.inputs(), replication=settings.replication)
    return sender.send(
        messages(source), total=source.size, rate=rate, title=f"history of {source.region}"
    )


def stream_life(
    settings: Settings,
    city: City,
    *,
    rate: float,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    console: Console | None = None,
) -> None:
    """Go on in real time at about `rate` events a second, until Ctrl-C.

    Raises:
        DeliveryFailed: a message was not taken; names the topic.
    """
    sender = Sender(settings, console=console)
    try:
        sender.send(
            city.live(rate, clock, sleep), total=None, rate=None, title=f"life of {city.region}"
        )
    except KeyboardInterrupt:
        return


def simulate(
    settings: Settings,
    *,
    users: int = USERS,
    places: int = PLACES,
    days: float = DAYS,
    rate: float | None = None,
    checkins: Path | None = None,
    seed: int | None = None,
    history_rate: float | None = None,
    string_ids: bool = False,
    clock: Callable[[], float] = time.time,
    console: Console | None = None,
) -> Source:
    """Run the command: history up to now, a summary, and live events if a rate is given.

    Args:
        settings: brokers, topics, default seed.
        users, places, days, string_ids: of the simulated city.
        rate: live events a second after the history, until Ctrl-C; None or 0 for none.
        checkins: file of check-ins instead of a simulated city; has no life after its history.
        seed: of the simulated city; the settings' if None.
        history_rate: events a second of the history; None for as fast as possible.
        clock: Unix seconds.
        console: where to print.

    Returns:
        The source that was sent.

    Raises:
        ValueError: live events of check-ins are asked for; and as `open_source`, `stream_history`.
    """
    console = console or Console()
    if checkins is not None and rate:
        raise ValueError("check-ins end with their last row: a live rate needs the simulated city")
    source = open_source(
        ending_s=clock(),
        seed=settings.seed if seed is None else seed,
        users=users,
        places=places,
        days=days,
        string_ids=string_ids,
        checkins=checkins,
    )
    sent = stream_history(settings, source, rate=history_rate, console=console)
    console.print(summary(source, sent))
    for note in source.describe().notes:
        console.print(note)
    if rate and isinstance(source, City):
        stream_life(settings, source, rate=rate, clock=clock, console=console)
    return source


def summary(source: Source, sent: Sent) -> Table:
    """What was sent, as a table."""
    about = source.describe()
    table = Table("what", "how much", title=f"{about.region} ({about.kind})")
    table.add_row("users", f"{about.users:,}")
    table.add_row("places", f"{about.places:,}")
    for kind, count in about.interactions.items():
        table.add_row("ratings" if kind == "rate" else f"{kind}s", f"{count:,}")
    table.add_row("place updates", f"{about.place_updates:,}")
    table.add_row("context updates", f"{about.context_updates:,}")
    table.add_row("from", _minute(about.first_s))
    table.add_row("to", _minute(about.last_s))
    table.add_row("sent", f"{sent.total:,} in {sent.seconds:.1f} s")
    table.add_row("events/s", f"{sent.events_s:,.0f}")
    return table


def _minute(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
