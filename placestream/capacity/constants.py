"""What one event, one request and one state cost: measured by `benchmarks/`, kept in one file."""

import tomllib
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any, Self

FILE = "constants.toml"


class BadConstants(ValueError):
    """The file lacks a constant, or has one that nobody reads."""


@dataclass(frozen=True)
class Constants:
    """All that a plan is reckoned from; see `constants.toml` for where each comes from.

    Attributes:
        worker_us_per_event: processor time of a `stream` worker, microseconds.
        worker_us_per_answer: of a worker, to archive a served answer.
        redis_us_per_event: of Redis, for an event that is folded into its user and its place.
        redis_us_per_command: of Redis, for a read, whatever it reads.
        redis_us_per_key: of Redis, for each state of a read.
        serve_ms_per_request: processor time of `serve`, milliseconds.
        model_ms_per_request: of a model server, both models.
        waited_ratio: share of `serve`'s time that an answer waits for; the rest is its own.
        service_spread: of the time of each step: the standard deviation of its logarithm.
        around_ms: of a request, outside of all stages: client, gRPC on both sides.
        places_per_request: places whose states a request reads.
        user_bytes: a user's state as it lies in Redis, with its key.
        place_bytes: a place's state as it lies in Redis, with its key.
        catalogue_bytes_per_place: memory of each `serve` for a place.
        worker_gib: memory of a worker.
        serve_gib: of a `serve`, without its catalogue.
        model_gib: of a model server.
        kafka_bytes_per_event: on a broker's disk, one replica, as it was sent.
        kafka_bytes_per_event_by_place: of its copy by place, which is kept longer.
        kafka_bytes_per_answer: of a served answer.
        archive_bytes_per_event: in Parquet.
        archive_bytes_per_answer: of a served answer.
        failover_s: from a shard's death until its replica answers.
        resume_s: from then on, until a worker folds again.
    """

    worker_us_per_event: float
    worker_us_per_answer: float
    redis_us_per_event: float
    redis_us_per_command: float
    redis_us_per_key: float
    serve_ms_per_request: float
    model_ms_per_request: float
    waited_ratio: float
    service_spread: float
    around_ms: float
    places_per_request: float
    user_bytes: float
    place_bytes: float
    catalogue_bytes_per_place: float
    worker_gib: float
    serve_gib: float
    model_gib: float
    kafka_bytes_per_event: float
    kafka_bytes_per_event_by_place: float
    kafka_bytes_per_answer: float
    archive_bytes_per_event: float
    archive_bytes_per_answer: float
    failover_s: float
    resume_s: float

    @classmethod
    def of(cls, table: dict[str, dict[str, Any]]) -> Self:
        """From a table of constants.

        Raises:
            BadConstants: not exactly these are in it, or one has no source.
        """
        names = {f.name for f in fields(cls)}
        if set(table) != names:
            raise BadConstants(f"constants differ in {sorted(set(table) ^ names)}")
        bare = sorted(name for name, entry in table.items() if not entry.get("source"))
        if bare:
            raise BadConstants(f"no source of {bare}")
        return cls(**{name: float(entry["value"]) for name, entry in table.items()})


@dataclass(frozen=True)
class Prices:
    """What is paid, in any one currency.

    Attributes:
        core_hour: a core for an hour.
        gib_hour: a GiB of memory for an hour.
        disk_gib_month: a GiB of disk for a month.
    """

    core_hour: float
    gib_hour: float
    disk_gib_month: float


def load() -> tuple[Constants, Prices]:
    """The constants and the default prices that come with placestream."""
    table = tomllib.loads(files(__package__).joinpath(FILE).read_text(encoding="utf-8"))
    return Constants.of(table["constants"]), Prices(**table["prices"])
