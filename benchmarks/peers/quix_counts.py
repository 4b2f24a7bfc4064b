"""Quix Streams counts events in windows, into Redis; runs in its own environment.

Its own sliding windows, one store and one changelog topic each, emitted at every update, and its
own Redis sink. Everything that is not said here is its default: at least once, a checkpoint every
5 s, at which the sink writes.
"""

import time
from datetime import timedelta
from typing import Any

from quixstreams import Application
from quixstreams.sinks.community.redis import RedisSink

from benchmarks.counted import Counted
from benchmarks.peers.counts import WINDOWS_MS, Task, counts, redis_key, time_ms

#: On a machine that does much else; not in what is measured.
TOPICS_TIMEOUT_S = 240


class _Sink(RedisSink):  # type: ignore[misc]
    """Knows when it wrote last."""

    wrote_s = 0.0

    def write(self, batch: Any) -> None:
        """As it does, and note the time."""
        super().write(batch)
        _Sink.wrote_s = time.monotonic()


def main() -> None:
    """Count until the last event is in Redis."""
    task = Task.given()
    counted, done = Counted(task.events), 0

    def processed(_topic: str, _partition: int, _offset: int) -> None:
        nonlocal done
        done += 1
        if done < task.events:
            counted(done)
        else:
            app.stop()  # after a last checkpoint

    app = Application(
        broker_address=task.bootstrap,
        consumer_group=f"{task.topic}-quix",
        auto_offset_reset="earliest",
        state_dir=task.folder,
        on_message_processed=processed,
        loglevel="WARNING",
        topic_create_timeout=TOPICS_TIMEOUT_S,
    )
    topic = app.topic(
        task.topic,
        key_deserializer="str",
        timestamp_extractor=lambda event, _headers, _at_ms, _kind: time_ms(event),
    )
    events = app.dataframe(topic)
    counting = events[events.apply(lambda event: counts(event, task.what))]
    for window, width_ms in WINDOWS_MS.items():
        sink = _Sink(
            task.redis_host,
            task.redis_port,
            0,
            value_serializer=lambda result: str(result["value"]),
            key_serializer=lambda user, _, window=window: redis_key(user, window),
        )
        sliding = counting.sliding_window(timedelta(milliseconds=width_ms))
        sliding.count().current().sink(sink)
    app.run()
    counted(task.events, _Sink.wrote_s)


if __name__ == "__main__":
    main()
