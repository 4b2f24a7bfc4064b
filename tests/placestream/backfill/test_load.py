"""`placestream backfill --into-redis`: the states that a worker would have folded."""

import io

import pytest
import redis
from rich.console import Console

from contracts.settings import Settings
from contracts.topics import Topics
from online_features.keys import Keys, ShardKind
from placestream.backfill import load as backfill
from placestream.rebuild import run as rebuild
from placestream.rebuild.fold import TakenOver
from placestream.rebuild.plan import Refused
from tests.placestream.backfill.archives import stream_and_archive
from tests.streams.stream import assert_equals_recompute, offsets

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]
pytest.importorskip("pyspark", reason="`.ci/setup.sh test-all` brings Spark")

KINDS: tuple[ShardKind, ...] = ("i", "b")


@pytest.fixture
def archived(settings: Settings, topics: Topics) -> Settings:
    """A messy stream in Kafka, bad events left out, and all of it in the archive."""
    settings = settings.model_copy(update={"spark_master": "local[2]"})
    stream_and_archive(settings, 5, 700)
    return settings


def loaded(settings: Settings) -> str:
    """Load, and return what was printed."""
    out = io.StringIO()
    backfill.load(settings, Console(file=out, width=200))
    return out.getvalue()


def test_loaded_states_are_the_streams(archived: Settings, redis_client: redis.Redis) -> None:
    """To the byte; loaded again over what a broken-off load left; then extended by new events."""
    keys = Keys.of(archived)
    assert loaded(archived).count("filled") == 2
    assert_equals_recompute(redis_client, archived)
    stood = offsets(redis_client, archived, "i")
    # As a load leaves it that was broken off: states, but offsets not moved.
    for kind in KINDS:
        for partition in range(archived.partitions):
            redis_client.hdel(keys.shard(kind, partition), "filled", "offset")
    for key in list(redis_client.scan_iter(keys.pattern("i", keys.version("i"))))[::3]:
        if not key.endswith(b"#shard"):
            redis_client.delete(key)
    stream_and_archive(archived, 6, 90)
    assert loaded(archived).count("filled") == 2
    assert offsets(redis_client, archived, "i") > stood
    assert_equals_recompute(redis_client, archived)


def test_what_is_fresher_is_never_overwritten(
    archived: Settings, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers' shards are left alone; one that is taken meanwhile ends the load, and is known."""
    keys = Keys.of(archived)
    rebuild.run(archived, Console(file=io.StringIO()))
    shard = keys.shard("i", 1)
    at_end = redis_client.hget(shard, "offset")
    redis_client.hincrby(shard, "offset", 1)
    with pytest.raises(Refused, match="this archive does not have"):
        loaded(archived)
    redis_client.hset(shard, "offset", at_end or b"0")
    write = backfill._write_states

    def a_worker_comes(*arguments: object) -> None:
        redis_client.hincrby(shard, "epoch", 1)
        write(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(backfill, "_write_states", a_worker_comes)
        with pytest.raises(TakenOver, match="rebuild --force"):
            loaded(archived)
    with pytest.raises(Refused, match="they lack events"):
        loaded(archived)
    rebuild.run(archived, Console(file=io.StringIO()), force=True)
    for kind in KINDS:
        for partition in range(archived.partitions):
            redis_client.hincrby(keys.shard(kind, partition), "epoch", 1)
    key = keys.entity("i", "1")
    redis_client.set(key, b"fresher")
    assert loaded(archived).count("in service already") == 2
    assert redis_client.get(key) == b"fresher"
