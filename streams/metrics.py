"""Prometheus metrics of the `stream` role."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter(
    "placestream_stream_events_total",
    "Events by what became of them: folded, duplicate, replayed, late, erased or dead_letter.",
    ["topic", "outcome"],
)
BATCH_SECONDS = Histogram(
    "placestream_stream_batch_seconds",
    "Time from a poll to its commit.",
    ["topic"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
FAILED_BATCHES = Counter(
    "placestream_stream_failed_batches_total",
    "Batches that could not be folded as a whole and were fetched again.",
    ["topic"],
)
REDIS_AWAY = Gauge("placestream_stream_redis_away", "1 while the stream waits for Redis, else 0.")
STALLED = Gauge(
    "placestream_stream_stalled_partitions",
    "Partitions that have waiting events and have not moved for too long.",
)
MESSAGES = Counter(
    "placestream_stream_messages_total",
    "Kafka messages whose effect is stored; one of interactions by place holds many events.",
    ["topic"],
)
LAG_MESSAGES = Gauge(
    "placestream_stream_lag_messages",
    "Messages in Kafka that are not folded yet.",
    ["topic", "partition"],
)
EVENT_AGE_SECONDS = Histogram(
    "placestream_stream_event_age_seconds",
    "Time from an event's receipt by Kafka to its features being readable.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 60, 300, 1800),
)
CONFLICTS = Counter(
    "placestream_stream_conflicts_total",
    "Commits refused by the store: fenced (another owner) or moved (another offset).",
    ["kind"],
)
for _kind in ("fenced", "moved"):
    CONFLICTS.labels(_kind)  # 0 and not absent, so that a rate sees the first one, too
ARCHIVE_ROWS = Counter("placestream_archive_rows_total", "Rows written to the archive.", ["topic"])
ARCHIVE_FILES = Counter(
    "placestream_archive_files_total", "Files written to the archive.", ["topic"]
)
