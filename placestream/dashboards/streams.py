"""The dashboard of the streams: do events become features, and soon?"""

from placestream.dashboards.board import Board, Panel, Query, Row, counted, number, quantiles, rate

STREAMS = Board(
    "streams",
    "placestream / Streams",
    (
        Row(
            "Now",
            (
                number(
                    "Features behind",
                    "How long the longest backlog takes at the present speed. Objective: 5 min.",
                    "s",
                    "max(topic:placestream_stream_lag_seconds:estimate >= 0)",
                    bad_above=300,
                ),
                number(
                    "Oldest of what is folded (p95)",
                    "From an event's receipt by Kafka to its features.",
                    "s",
                    "placestream_stream_event_age_seconds:p95_rate5m",
                    bad_above=300,
                ),
                number(
                    "Backlog now",
                    "Messages in Kafka that are not folded yet.",
                    "short",
                    "sum(topic:placestream_stream_lag_messages:sum)",
                ),
                number(
                    "Messages",
                    "Kafka messages whose effect is stored, per second.",
                    "ops",
                    "sum(topic:placestream_stream_messages:rate5m)",
                ),
                number(
                    "Stalled partitions",
                    "Have waiting events and have not moved for too long.",
                    "none",
                    "sum(placestream_stream_stalled_partitions)",
                    bad_above=0.5,
                ),
                number(
                    "Redis away",
                    "Workers that wait for Redis.",
                    "none",
                    "sum(placestream_stream_redis_away)",
                    bad_above=0.5,
                ),
            ),
        ),
        Row(
            "From events to features",
            (
                Panel(
                    "Events by outcome",
                    "What became of events. Dead letters are kept, and can be replayed.",
                    "ops",
                    (rate("placestream_stream_events_total", "outcome"),),
                ),
                Panel(
                    "Backlog",
                    "Messages in Kafka that are not folded yet, by topic.",
                    "short",
                    (Query("topic:placestream_stream_lag_messages:sum", "{{topic}}"),),
                ),
                Panel(
                    "From an event's receipt to its features",
                    "How old an event is when its features can be read. Objective: within 5 s.",
                    "s",
                    quantiles("placestream_stream_event_age_seconds"),
                    bad_above=300,
                ),
                Panel(
                    "Time of a batch (p95)",
                    "From a poll to its commit, by topic.",
                    "s",
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (topic, le) "
                            "(rate(placestream_stream_batch_seconds_bucket[$__rate_interval])))",
                            "{{topic}}",
                        ),
                    ),
                ),
                Panel(
                    "Refused commits",
                    "Fenced: another worker owns the partition. Moved: Redis stands elsewhere.",
                    "none",
                    (counted("placestream_stream_conflicts_total", "kind"),),
                ),
                Panel(
                    "Failed batches",
                    "Batches that could not be folded as a whole and were fetched again.",
                    "none",
                    (
                        counted(
                            "placestream_stream_failed_batches_total",
                            "topic",
                            rare="none has failed since the start",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Archive",
            (
                Panel(
                    "Archive",
                    "Rows written, by topic.",
                    "ops",
                    (rate("placestream_archive_rows_total", "topic"),),
                    width=12,
                ),
                Panel(
                    "Files",
                    "Files written, by topic.",
                    "none",
                    (counted("placestream_archive_files_total", "topic"),),
                    width=12,
                ),
            ),
        ),
    ),
)
