"""Stock Faust that only counts messages; prints the count with the time whenever it moves."""

import sys
from typing import Any

import faust

from benchmarks.counted import Counted
from contracts.settings import Settings


def main() -> None:
    """Count `sys.argv[1]` messages of the interactions topic."""
    settings, counted = Settings(), Counted(int(sys.argv[1]))
    app: Any = faust.App(
        f"{settings.topic_prefix}-stock",
        broker=f"kafka://{settings.kafka_bootstrap}",
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=settings.batch_max_events,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )
    topic = app.topic(settings.topics.interactions.name, value_serializer="raw")

    async def count(stream: Any) -> None:
        count = 0
        async for _ in stream:
            count += 1
            counted(count)

    app.agent(topic)(count)
    faust.Worker(app, loglevel="WARN", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
