"""`placestream rebuild`: states from the archive, then from the stream, equal a batch recompute."""

import io
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import redis
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from rich.console import Console

from contracts.kafka import client_config
from contracts.settings import Settings
from contracts.topics import Topics, create_topics
from online_features import archive
from online_features.archive import read_positions
from online_features.archive_schema import INTERACTION_SCHEMA, INTERACTIONS
from online_features.keys import Keys, ShardKind
from placestream.rebuild import drop_old
from placestream.rebuild import fold as rebuild_fold
from placestream.rebuild import run as rebuild
from placestream.rebuild.coverage import Coverage, cover
from placestream.rebuild.fold import TakenOver
from placestream.rebuild.plan import Refused
from streams.archive import write_whole
from tests.streams.stream import (
    assert_equals_recompute,
    good_interactions,
    offsets,
    send,
    wait_folded,
    worker,
)
from tests.streams.test_exactness import messy_stream

KINDS: tuple[ShardKind, ...] = ("i", "b")


def is_bad(message: tuple[str | None, bytes | None]) -> bool:
    """Whether it is one of the broken events of the stream."""
    return (message[1] or b"").endswith(b", ")


def said(settings: Settings, *, force: bool = False, with_gaps: bool = False) -> str:
    """Rebuild, and return what it printed."""
    out = io.StringIO()
    rebuild.run(settings, Console(file=out, width=200), force=force, with_gaps=with_gaps)
    return out.getvalue()


def forget_states(client: redis.Redis, settings: Settings) -> None:
    """As if the definitions were new: no state and no shard of users and places."""
    keys = Keys.of(settings)
    for kind in KINDS:
        found = list(client.scan_iter(keys.pattern(kind, keys.version(kind))))
        client.delete(*found)


def wait_archived(settings: Settings, events: int) -> None:
    """Wait until the archive holds at least so many events."""
    deadline = time.monotonic() + 30
    while read_positions(settings.archive_dir).num_rows < events:
        assert time.monotonic() < deadline
        time.sleep(0.2)


class Parted:
    """A messy stream in three parts: archived, folded but not archived, and not yet folded."""

    def __init__(self, settings: Settings, client: redis.Redis, run_dir: Path) -> None:
        self.settings, self.client, self.run_dir = settings, client, run_dir
        self.messages = messy_stream(11, time.time())[:3_000]
        self.topic = settings.topics.interactions.name

    def fold_with_old_code(self) -> None:
        """Two parts go through a worker; a SIGKILL keeps the second from the archive."""
        with worker(self.settings, self.run_dir) as supervisor:
            send(self.settings, self.topic, self.messages[:1_500])
            wait_folded(self.client, self.settings, 1_500)
            wait_archived(self.settings, 1_500 - sum(map(is_bad, self.messages[:1_500])))
            supervisor.kill_role("stream")
        slow = self.settings.model_copy(update={"archive_flush_s": 1_000, "stream_session_s": 3})
        with worker(slow, self.run_dir) as supervisor:
            send(self.settings, self.topic, self.messages[1_500:2_200])
            wait_folded(self.client, self.settings, 2_200)
            supervisor.kill_role("stream")

    def go_on(self) -> None:
        """A worker of the new code folds the rest."""
        settings = self.settings.model_copy(update={"stream_session_s": 3})
        with worker(settings, self.run_dir):
            send(self.settings, self.topic, self.messages[2_200:])
            wait_folded(self.client, self.settings, len(self.messages))


@pytest.fixture
def parted(settings: Settings, topics: Topics, redis_client: redis.Redis, tmp_path: Path) -> Parted:
    """Two of three parts folded by the old code."""
    settings = settings.model_copy(update={"stream_session_s": 3, "batch_max_events": 400})
    made = Parted(settings, redis_client, tmp_path / "run")
    made.fold_with_old_code()
    return made


@pytest.fixture
def archived(settings: Settings, topics: Topics, redis_client: redis.Redis) -> Settings:
    """A messy stream in Kafka, bad events left out, and all of it in the archive."""
    messages = [m for m in messy_stream(5, time.time())[:800] if not is_bad(m)]
    send(settings, topics.interactions.name, messages)
    good = good_interactions(settings)
    for part in (slice(0, 300), slice(300, None)):
        rows = {name: column[part] for name, column in good.columns().items()}
        table = pa.table(rows, schema=INTERACTION_SCHEMA)
        folder = settings.archive_dir / INTERACTIONS / "day=2025-01-01"
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(table, folder)
    return settings


def test_archive_then_stream_equals_a_recompute(
    parted: Parted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off twice on the way and run again; duplicates and bad events among them."""
    settings, client = parted.settings, parted.client
    forget_states(client, settings)
    monkeypatch.setattr(rebuild_fold, "CHUNK", 100)
    commits = {"left": 7}
    whole = rebuild_fold.Folder.commit

    async def breaks(self: rebuild_fold.Folder, *arguments: object, **named: object) -> None:
        commits["left"] -= 1
        if commits["left"] in (0, -12):
            raise ConnectionResetError("pulled the plug")
        await whole(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(rebuild_fold.Folder, "commit", breaks)
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            said(settings)
    assert "filled" in said(settings)
    folded = offsets(client, settings, "i")
    assert 1_500 <= folded < 2_200, "the archive ends within what was sent"
    parted.go_on()
    assert_equals_recompute(client, settings)


@pytest.mark.slow
def test_only_places_changed(parted: Parted) -> None:
    """Users stay as they are, with their worker; places are filled and catch up."""
    settings, client = parted.settings, parted.client
    keys = Keys.of(settings)
    client.delete(*client.scan_iter(keys.pattern("b", keys.version("b"))))
    output = said(settings)
    assert f"users, version {keys.version('i')}: in service already" in output
    assert f"places, version {keys.version('b')}: filled" in output
    parted.go_on()
    assert_equals_recompute(client, settings)


def test_what_a_worker_holds_is_left_alone_unless_forced(
    archived: Settings, redis_client: redis.Redis
) -> None:
    """And by force it is folded anew, from nothing: what was folded before does not count twice."""
    said(archived)
    keys = Keys.of(archived)
    for kind in KINDS:
        for partition in range(archived.partitions):
            redis_client.hincrby(keys.shard(kind, partition), "epoch", 1)
    with pytest.raises(Refused, match="they hold what workers have folded"):
        said(archived)
    assert "filled" in said(archived, force=True)
    assert_equals_recompute(redis_client, archived)


def test_a_worker_that_starts_meanwhile_ends_it(
    archived: Settings, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its epoch is higher: the rebuild is refused, and the states count as lacking events."""
    read, key = archive.read_arrivals, Keys.of(archived).shard("i", 1)

    def a_worker_comes(archive_dir: Path, partition: int) -> archive.ArrivalLog:
        if partition == 1:
            redis_client.hincrby(key, "epoch", 1)
        return read(archive_dir, partition)

    with monkeypatch.context() as patch:
        patch.setattr(rebuild, "read_arrivals", a_worker_comes)
        with pytest.raises(TakenOver, match="rebuild --force"):
            said(archived)
    with pytest.raises(Refused, match="they lack events"):
        said(archived)
    assert "filled" in said(archived, force=True)
    assert_equals_recompute(redis_client, archived)


def test_again_folds_only_what_came_since(archived: Settings, redis_client: redis.Redis) -> None:
    """Nothing is doubled by a second run, nor by one that finds more in the archive."""
    files = list(archived.archive_dir.rglob("*.parquet"))
    hidden = files[0].rename(files[0].with_name(".hidden"))
    said(archived)
    first = offsets(redis_client, archived, "i")
    hidden.rename(files[0])
    said(archived)
    assert offsets(redis_client, archived, "i") > first
    said(archived)
    assert_equals_recompute(redis_client, archived)


def test_a_gap_that_kafka_cannot_fill_is_refused(archived: Settings) -> None:
    """Kafka has given its oldest events up, and then the archive loses a file."""
    topic = archived.topics.interactions.name
    cuts = [TopicPartition(topic, p, 100) for p in range(archived.partitions)]
    admin = AdminClient(client_config(archived))
    for done in admin.delete_records(cuts).values():
        done.result(30)
    assert "passed over" not in said(archived, force=True), "the archive has what Kafka has not"
    for file in archived.archive_dir.rglob("*.parquet"):
        table = pq.read_table(file)
        pq.write_table(table.filter(pc.field("offset") != 50), file)
    lost = r"4 events .* nor in Kafka any more .partition 0: 50 to 50; partition 1: 50 to 50"
    with pytest.raises(Refused, match=lost):
        said(archived)
    assert "4 events are neither" in said(archived, force=True, with_gaps=True)


def test_an_archive_of_another_kafka_is_refused(archived: Settings) -> None:
    """It knows offsets that this one has not given."""
    other = archived.model_copy(update={"topic_prefix": f"{archived.topic_prefix}-other"})
    admin = AdminClient(client_config(other))
    create_topics(admin, other.topics.all(), replication=1)
    with pytest.raises(ValueError, match="another Kafka's archive"):
        said(other)
    admin.delete_topics([topic.name for topic in other.topics.all()])


def test_old_versions_are_dropped_and_only_those(
    archived: Settings, redis_client: redis.Redis
) -> None:
    """After a question; documents and the current version stay."""
    prefix = archived.key_prefix
    strangers = [f"{prefix}:0123abcd:{{i1}}:u", f"{prefix}:0123abcd:{{b0}}#shard"]
    kept = [f"{prefix}:1:{{d1}}:p", f"x{prefix}:0123abcd:{{i1}}:u", f"{prefix}:replayed:topic"]
    for key in (*strangers, *kept):
        redis_client.set(key, b"1")
    asked: list[str] = []

    def dropped(yes: bool) -> str:
        def confirm(question: str) -> bool:
            asked.append(question)
            return yes

        out = io.StringIO()
        drop_old.run(archived, Console(file=out), confirm)
        return out.getvalue()

    with pytest.raises(Refused, match="no states of users"):
        dropped(True)
    said(archived)
    assert "0123abcd" in dropped(False)
    assert redis_client.exists(*strangers) == 2
    assert "Deleted" in dropped(True)
    assert (redis_client.exists(*strangers), redis_client.exists(*kept)) == (0, 3)
    assert "no states of other versions" in dropped(True)
    assert len(asked) == 2
    assert_equals_recompute(redis_client, archived)


@pytest.mark.parametrize(
    ("archived", "letters", "low", "expected"),
    [
        ([], [], 0, Coverage(0, ())),
        ([], [], 5, Coverage(5, ((0, 5),))),
        ([0, 1, 2], [], 0, Coverage(3, ())),
        ([0, 1, 2], [], 3, Coverage(3, ())),
        ([2, 0, 1], [], 9, Coverage(9, ((3, 9),))),
        ([0, 1, 3], [2], 0, Coverage(4, ())),
        ([0, 1, 3], [2, 4], 0, Coverage(5, ())),
        ([0, 1, 3], [], 0, Coverage(2, ())),
        ([0, 1, 3], [], 2, Coverage(2, ())),
        ([0, 1, 3], [], 3, Coverage(4, ((2, 3),))),
        ([0, 5, 6], [], 3, Coverage(3, ((1, 3),))),
        ([0, 2, 4], [], 4, Coverage(5, ((1, 2), (3, 4)))),
    ],
)
def test_where_the_archive_ends(
    archived: list[int], letters: list[int], low: int, expected: Coverage
) -> None:
    """At the first hole that Kafka can fill; what nobody can fill is lost, and told."""
    assert cover(np.array(archived, np.int64), letters, low) == expected
