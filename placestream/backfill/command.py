"""The command line of `placestream backfill`."""

from typing import Annotated

import typer
from rich.console import Console

from placestream.command import load_settings, run_task


def backfill(
    since: Annotated[
        str | None, typer.Option(help="First day of the tables, YYYY-MM-DD; the first of all.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Day before which they end; after the last of all.")
    ] = None,
    tables: Annotated[bool, typer.Option(help="Whether to write the tables.")] = True,
    training_sets: Annotated[
        bool, typer.Option("--training-sets", help="Also write the choice sets of a training.")
    ] = False,
    into_redis: Annotated[
        bool, typer.Option("--into-redis", help="Also fill Redis, where no worker has.")
    ] = False,
    with_gaps: Annotated[
        bool, typer.Option("--with-gaps", help="Fill it although events are missing.")
    ] = False,
) -> None:
    """Compute all features over the whole archive with Spark.

    Writes tables under `PLACESTREAM_BACKFILL_DIR`: each user at the end of each day, and each place
    at the end of each hour, in which something happened to them. Run again, it replaces the days
    asked for and leaves the others.

    With --training-sets it also writes the choice sets that a training with the same settings
    learns from, those of all days, whatever the span: `PLACESTREAM_TRAIN_SETS_FROM=backfill` has
    `train` read them instead of making them.

    With --into-redis it also writes the newest states to Redis, from where `stream` workers go on,
    as `placestream rebuild` does: states that workers hold are fresher, and are left alone.

    Needs the archive, Java 17 and `placestream[spark]`; for Redis also Kafka and Redis.

    Example: `placestream backfill --since 2025-06-01 --until 2025-06-08`
    """
    settings = load_settings()
    from placestream.backfill.run import run

    run_task(
        lambda: run(
            settings,
            Console(),
            since=since,
            until=until,
            tables=tables,
            training_sets=training_sets,
            into_redis=into_redis,
            with_gaps=with_gaps,
        )
    )
