"""`placestream simulate`, as the command line calls it, on a real Kafka."""

import io
from contextlib import suppress
from pathlib import Path

import pytest
import stamina
from confluent_kafka import Consumer, KafkaException, TopicPartition
from rich.console import Console

from contracts.kafka import consumer_config
from contracts.settings import Settings
from contracts.topics import Topic, Topics
from placestream.simulation import City, Message, Plan
from placestream.simulation.command import open_source, simulate, stream_life

ENDING_S = 1_718_000_000.0


@stamina.retry(on=KafkaException, attempts=10)  # a new partition may have no leader yet
def count(settings: Settings, topic: Topic) -> int:
    """Records in a topic."""
    consumer = Consumer({**consumer_config(settings, "counter")})
    try:
        return sum(
            consumer.get_watermark_offsets(TopicPartition(topic.name, partition), timeout=10)[1]
            for partition in range(topic.partitions)
        )
    finally:
        consumer.close()


def test_a_city_is_created_sent_and_summed_up(settings: Settings) -> None:
    """Topics are made where they are missing, all goes out, and the summary counts it."""
    printed = io.StringIO()
    source = simulate(
        settings,
        users=30,
        places=25,
        days=2,
        clock=lambda: ENDING_S,
        console=Console(file=printed, width=100),
    )
    about = source.describe()
    topics = settings.topics
    assert count(settings, topics.interactions) == sum(about.interactions.values())
    assert count(settings, topics.place_updates) == about.place_updates
    assert count(settings, topics.context) == about.context_updates
    for shown in ("Larkhaven", "visits", f"{about.interactions['view']:,}", "events/s"):
        assert shown in printed.getvalue()


def test_the_seed_of_the_settings_is_the_default(settings: Settings) -> None:
    """The same settings give the same city; a seed given outranks them."""
    chosen = open_source(ending_s=ENDING_S, seed=settings.seed, users=5, places=5, days=1)
    other = open_source(ending_s=ENDING_S, seed=settings.seed + 1, users=5, places=5, days=1)
    assert list(chosen.place_updates()) != list(other.place_updates())
    sent = simulate(
        settings,
        users=5,
        places=5,
        days=1,
        clock=lambda: ENDING_S,
        console=Console(file=io.StringIO()),
    )
    assert list(sent.interactions()) == list(chosen.interactions())


def test_check_ins_are_moved_to_now_and_sent(settings: Settings, tmp_path: Path) -> None:
    """The file's last check-in lands within the week before now, and its caveats are printed."""
    path = tmp_path / "town_checkins.csv"
    path.write_text(
        "user_id,venue_id,category,lat,lng,timestamp\n"
        "1,v,Bar,40.7,-74,2012-04-03T18:00:09Z\n"
        "2,v,Bar,40.7,-74,2012-04-04T18:00:09Z\n"
    )
    printed = io.StringIO()
    source = simulate(
        settings,
        checkins=path,
        clock=lambda: ENDING_S,
        console=Console(file=printed, width=200),
    )
    about = source.describe()
    assert ENDING_S - 7 * 86_400 < about.last_s <= ENDING_S
    assert count(settings, settings.topics.interactions) == 2
    assert count(settings, settings.topics.context) == 0
    assert about.notes[0] in printed.getvalue()


def test_check_ins_have_no_life(settings: Settings, tmp_path: Path) -> None:
    """A live rate would have to invent events, and is refused before anything is sent."""
    with pytest.raises(ValueError, match="simulated city"):
        simulate(settings, checkins=tmp_path / "absent.csv", rate=5)


class UntilCtrlC:
    """A clock that its sleeper moves, and a user who presses Ctrl-C after so many naps."""

    def __init__(self, naps: int) -> None:
        self.now_s, self.naps = ENDING_S, naps

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s, self.naps = self.now_s + seconds, self.naps - 1
        if self.naps == 0:
            raise KeyboardInterrupt


def test_life_ends_with_ctrl_c_and_loses_nothing(settings: Settings, topics: Topics) -> None:
    """All that a twin of the city lives through up to Ctrl-C is in Kafka, and nothing is raised."""
    city, twin = (
        City(Plan(users=80, places=40, days=1), ending_s=ENDING_S, seed=1) for _ in range(2)
    )
    lived: list[Message] = []
    clock = UntilCtrlC(naps=300)
    with suppress(KeyboardInterrupt):
        for message in twin.live(20.0, clock, clock.sleep):
            lived.append(message)
    clock = UntilCtrlC(naps=300)
    stream_life(
        settings,
        city,
        rate=20.0,
        clock=clock,
        sleep=clock.sleep,
        console=Console(file=io.StringIO()),
    )
    assert clock.naps == 0
    assert len(lived) > 100
    assert count(settings, topics.interactions) == len(lived)
