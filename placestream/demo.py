"""`placestream demo`: the whole loop on this machine, from nothing to a changed answer."""

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Producer
from rich.console import Console

from contracts.events import encode
from contracts.ids import canonical_id
from contracts.kafka import producer_config
from contracts.placestream.v1 import recommendation_pb2 as pb
from contracts.settings import Settings
from placestream import ask, up
from placestream.following import Following
from placestream.simulation.command import open_source, stream_history, summary
from placestream.simulation.producer import Backpressure
from placestream.simulation.source import Source
from placestream.simulation.story import Story
from placestream.stack.local import LocalStack
from placestream.stack.signals import ending_raises

#: Sizes that show habits and still end within minutes on two cores.
USERS, PLACES, DAYS = 800, 1_200, 28
#: So many events may wait in a broker that keeps them in memory.
IN_MEMORY_LIMIT = 10_000
SERVE_TIMEOUT_S = 120
CHANGE_TIMEOUT_S = 30
ANSWER_MS = 5_000
#: The newest of a big file of check-ins are enough to show it.
TRAIN_ROWS = 100_000
CHECKIN_TRAIN_ROWS = 30_000
SVG_WIDTH = 130


def run(
    settings: Settings,
    *,
    checkins: Path | None = None,
    keep: bool = False,
    svg: Path | None = None,
    console: Console | None = None,
    clock: Callable[[], float] = time.time,
    size: tuple[int, int, float] = (USERS, PLACES, DAYS),
) -> None:
    """Run the demonstration; whatever way it ends, everything that it started is stopped.

    Args:
        settings: where to start from; servers, ports and directories are the demo's own.
        checkins: a file of real check-ins, instead of the simulated city.
        keep: stay up at the end, until a signal.
        svg: a file for a picture of the last part, as the terminal shows it.
        console: where to show it.
        clock: Unix seconds.
        size: users, places and days of the simulated city.

    Raises:
        Ended: a signal.
        BadCheckIns, NoStory, TooFewEvents: the file cannot carry a demonstration.
        TimeoutError, ChildDied, StartError: a part did not do its work; says which.
    """
    console = console or (Console() if svg is None else Console(record=True, width=SVG_WIDTH))
    began_s = clock()
    base = settings.model_copy(
        update={
            "archive_flush_s": 3.0,
            # A demonstration must end; `placestream train` takes all there is.
            "train_max_rows": min(
                settings.train_max_rows, CHECKIN_TRAIN_ROWS if checkins else TRAIN_ROWS
            ),
        }
    )
    with (
        ending_raises(),
        tempfile.TemporaryDirectory(prefix="placestream-demo-") as folder,
        LocalStack(Path(folder), base=base) as stack,
    ):
        _say(console, "1. Servers and the stream worker")
        stack.start_servers()
        stack.create_topics()
        kind = "real Kafka" if stack.broker.declares_topics else "a broker in memory (no Kafka)"
        console.print(f"{kind} at {stack.broker.bootstrap}, Redis at port {stack.redis.port}")
        stack.start_role("stream")
        _say(console, "2. A city's history goes through Kafka")
        source = _open(checkins, settings.seed, size, clock())
        _stream(stack, source, console)
        _say(console, "3. Both models are trained on the archive, features as they were then")
        _train_and_serve(stack, console)
        _say(console, "4. Three fresh events change the answer")
        if svg is not None:
            console.export_text(clear=True)  # only what comes now is in the picture
        story = source.story(clock())
        _tell(stack, story, console, clock)
        if svg is not None:
            console.save_svg(str(svg), title="placestream demo")
        console.print(f"\nThe whole demo took {clock() - began_s:.0f} s.")
        if keep:
            _stay(stack, story, console)


def _say(console: Console, title: str) -> None:
    console.rule(f"[bold]{title}", align="left")


def _open(checkins: Path | None, seed: int, size: tuple[int, int, float], now_s: float) -> Source:
    users, places, days = size
    return open_source(
        ending_s=now_s, seed=seed, users=users, places=places, days=days, checkins=checkins
    )


def _stream(stack: LocalStack, source: Source, console: Console) -> None:
    """Send the history, and wait until it is in Redis and in the archive."""
    with stack.redis.client() as client:
        following = Following(stack.settings, client)
        try:
            pressure = None
            if not stack.broker.declares_topics:
                pressure = Backpressure(following.behind, IN_MEMORY_LIMIT)
            sent = stream_history(stack.settings, source, backpressure=pressure, console=console)
            following.wait(following.folded, "folded into features", console, stack.check)
            following.wait(following.archived, "archived", console, stack.check)
        finally:
            following.close()
    console.print(summary(source, sent))


def _train_and_serve(stack: LocalStack, console: Console) -> None:
    """Train, export, bring into service by TF Serving's protocol, and start the service."""
    from models.train import run as train
    from retrain.rollout import activate

    stack.start_role("model-server", wait=False)
    version = train(stack.settings, console)
    activate(stack.settings, version)
    stack.start_role("retrain", wait=False)
    with console.status("waiting until the service is healthy"):
        stack.start_role("serve", timeout_s=SERVE_TIMEOUT_S)
    console.print(f"version {version} of both models is in service")


def _tell(stack: LocalStack, story: Story, console: Console, clock: Callable[[], float]) -> None:
    """Ask, send three events through Kafka, and ask until the answer has changed."""
    settings = stack.settings
    address = f"127.0.0.1:{settings.serve_port}"
    user_id = canonical_id(story.user_id)
    question = ask.Question(user_id, story.lat, story.lng, limit=10, explain=True)
    console.print(f"The scene: {story.summary()}.\n", highlight=False)
    before = ask.ask(address, question, ANSWER_MS)
    console.print("[bold]Before:")
    ask.show(before, console, explain=True)
    events = story.events(clock())
    producer = Producer({**producer_config(settings)})
    sent_s = time.monotonic()
    for event in events:
        producer.produce(
            settings.topics.interactions.name, key=user_id.encode(), value=encode(event)
        )
    producer.flush(10)
    newest_s = datetime.fromisoformat(str(events[-1]["timestamp"])).timestamp()
    after = _ask_until_seen(address, question, newest_s, stack.check)
    took_ms = 1_000 * (time.monotonic() - sent_s)
    console.print("\n[bold]Three events of that user, through Kafka:")
    for event in events:
        did = f"  {event['event_type']} at place {event['place_id']} ({story.category})"
        console.print(did, highlight=False)
    console.print(f"\n[bold]After, {took_ms:.0f} ms later:", highlight=False)
    ask.show(after, console, explain=True)
    console.print(_difference(before, after, story.category), highlight=False)


def _ask_until_seen(
    address: str, question: ask.Question, newest_s: float, check: Callable[[], None]
) -> pb.RecommendResponse:
    """Ask until an answer knows the newest event; its features are then in the answer.

    Raises:
        TimeoutError: no such answer in time.
    """
    deadline_s = time.monotonic() + CHANGE_TIMEOUT_S
    while time.monotonic() < deadline_s:
        answer = ask.ask(address, question, ANSWER_MS)
        answered_s = answer.answered_at.ToNanoseconds() / 1e9
        known_s = answered_s - answer.feature_age.ToNanoseconds() / 1e9
        # To the millisecond: events carry no more.
        if answer.HasField("feature_age") and known_s >= newest_s - 0.01:
            return answer
        check()
    raise TimeoutError(f"no answer knew the fresh events within {CHANGE_TIMEOUT_S} s")


def _difference(before: pb.RecommendResponse, after: pb.RecommendResponse, category: str) -> str:
    old = [place.place_id for place in before.places]
    new = [place.place_id for place in after.places]
    came = sum(place_id not in old for place_id in new)
    moved = sum(
        place_id in old and old.index(place_id) != rank for rank, place_id in enumerate(new)
    )

    def of_category(answer: pb.RecommendResponse) -> int:
        return sum(place.category == category for place in answer.places)

    return (
        f"{came} of {len(new)} places are new in the answer, {moved} moved; of category "
        f"{category}: {of_category(before)} before, {of_category(after)} after."
    )


def _stay(stack: LocalStack, story: Story, console: Console) -> None:
    _say(console, "It stays up until Ctrl-C")
    with console.status("starting the console"):
        stack.start_role("console")
    console.print(up.addresses(stack.settings, stack.run_dir, up.ROLES))
    now = datetime.now(UTC).strftime("%H:%M:%S")
    console.print(
        f"[{now} UTC] try: . {stack.run_dir / 'env'} && placestream recommend --help\n"
        'or:  placestream retrain --now "to see a new version come into service"'
    )
    scene = {"user": canonical_id(story.user_id), "lat": f"{story.lat}", "lng": f"{story.lng}"}
    up.show_console(stack.settings, console, scene)
    stack.supervisor.wait()
