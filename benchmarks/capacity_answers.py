"""What a served answer costs after it was served: in Kafka, in a worker, in the archive."""

from pathlib import Path

import pyarrow.dataset as ds

from benchmarks.capacity_outage import until
from benchmarks.cpu import used_s
from benchmarks.events import answers_of
from benchmarks.stream import own_topics, produce, running
from contracts.settings import Settings
from contracts.topics import Topic
from online_features.archive_schema import IMPRESSIONS
from online_features.keys import Keys
from placestream.stack.kafka import KafkaBroker
from placestream.stack.redis import RedisServer

#: From here on it counts, so that no start-up is in it.
WARM_SHARE = 0.2
#: Soon, so that a run ends; full files are written sooner.
FLUSH_S = 3.0


def kafka_bytes(kafka_dir: Path, topic: Topic) -> int:
    """Bytes of a topic's log, one replica."""
    logs = kafka_dir.rglob("*.log")
    return sum(f.stat().st_size for f in logs if f.parent.name.rpartition("-")[0] == topic.name)


def archive_bytes_per_row(archive_dir: Path, stream: str) -> float:
    """Bytes of a row of the archive, from all rows that are written."""
    files = list((archive_dir / stream).rglob("*.parquet"))
    rows = ds.dataset(files).count_rows() if files else 0
    return sum(f.stat().st_size for f in files) / max(rows, 1)


def answers_cost(
    kafka: KafkaBroker, server: RedisServer, root: Path, core: set[int], answers: int
) -> dict[str, float]:
    """Have one worker archive so many answers, of ten places each; Redis is emptied first.

    Raises:
        TimeoutError: it does not come to the end.
    """
    settings = own_topics(kafka, server, root).model_copy(update={"archive_flush_s": FLUSH_S})
    topic, client = settings.topics.impressions, server.client()
    client.flushall()  # the keys are those of whoever was measured before
    produce(settings, {topic.name: answers_of(answers, answers // 10, 1)})

    def taken() -> int:
        keys = Keys.of(settings)
        shards = [keys.shard("s", p) for p in range(settings.partitions)]
        return sum(int(client.hget(shard, "offset") or 0) for shard in shards)

    with running(["placestream", "stream"], settings, core) as worker:
        until(lambda: taken() >= WARM_SHARE * answers)
        began, began_s = taken(), used_s([worker.pid])
        # Writing is part of it: until the last file is there.
        until(lambda: _written(settings) >= answers)
        spent_s = used_s([worker.pid]) - began_s
    return {
        "worker us/answer": 1e6 * spent_s / (answers - began),
        "kafka bytes/answer": kafka_bytes(root / "kafka", topic) / answers,
        "archive bytes/answer": archive_bytes_per_row(settings.archive_dir, IMPRESSIONS),
    }


def _written(settings: Settings) -> int:
    files = list((settings.archive_dir / IMPRESSIONS).rglob("*.parquet"))
    return int(ds.dataset(files).count_rows()) if files else 0
