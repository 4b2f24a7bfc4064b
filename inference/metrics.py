"""What the service tells Prometheus."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socketserver import BaseServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)

#: Edges on the objectives: p50 6 ms, p99 15 ms, p95 under 50 ms, the default deadline 200 ms.
REQUEST_EDGES_S = (0.002, 0.004, 0.006, 0.01, 0.015, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
STAGE_EDGES_S = (0.0005, 0.001, 0.002, 0.004, 0.006, 0.01, 0.015, 0.025, 0.05, 0.1, 0.2, 1.0)
#: From "a moment ago" over the objective of five minutes to a user of last month.
AGE_EDGES_S = (1, 5, 15, 60, 300, 3_600, 21_600, 86_400, 604_800, 2_592_000)
#: Of shares: even steps.
RATIO_EDGES = tuple(step / 10 for step in range(11))


class Page:
    """A running `/metrics` page, or none."""

    def __init__(self, server: BaseServer | None) -> None:
        self._server = server

    def close(self) -> None:
        """Stop serving it and free the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


@dataclass
class Outcome:
    """gRPC status code that a request ended with; a caller that leaves sets none."""

    code: str = "CANCELLED"


class Metrics:
    """All metrics of one service, in a registry of their own (a test runs two services)."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        for collector in (GCCollector, PlatformCollector, ProcessCollector):
            collector(registry=registry)
        self.registry = registry
        #: Requests that are being answered.
        self.under_way = 0
        self._in_flight = Gauge(
            "placestream_requests_in_flight", "Requests that are being answered", registry=registry
        )
        self._in_flight.set_function(lambda: float(self.under_way))
        self.requests = Counter(
            "placestream_requests",
            "Requests by method and gRPC status code",
            ["method", "code"],
            registry=registry,
        )
        self.request_s = Histogram(
            "placestream_request_seconds",
            "Time from a request's arrival to its answer",
            ["method"],
            buckets=REQUEST_EDGES_S,
            registry=registry,
        )
        self.stage_s = Histogram(
            "placestream_stage_seconds",
            "Time in one stage of the pipeline",
            ["stage"],
            buckets=STAGE_EDGES_S,
            registry=registry,
        )
        self.degraded = Counter(
            "placestream_degraded",
            "Answers that not all stages stood behind, by what was left",
            ["level"],
            registry=registry,
        )
        self.own_writes = Counter(
            "placestream_read_your_writes",
            "Answers that were to reflect events the caller had just sent: seen, or not_seen",
            ["outcome"],
            registry=registry,
        )
        self.reasons = Counter(
            "placestream_explained_answers",
            "Answers that were to say why, by what judged their reasons: model, or features alone",
            ["by"],
            registry=registry,
        )
        self.feature_age_s = Histogram(
            "placestream_feature_age_seconds",
            "Age of the asking user's newest known event",
            buckets=AGE_EDGES_S,
            registry=registry,
        )
        self.model_version = Gauge(
            "placestream_served_model_version",
            "Version that answered last, by model",
            ["model"],
            registry=registry,
        )
        self.impressions = Counter(
            "placestream_impressions",
            "Logged answers: delivered to Kafka, or dropped",
            ["outcome"],
            registry=registry,
        )
        self.shadow = Counter(
            "placestream_shadow_answers",
            "Answers that a pair on trial was asked for too: compared, failed, or skipped",
            ["outcome"],
            registry=registry,
        )
        self.shadow_overlap = Histogram(
            "placestream_shadow_overlap_ratio",
            "Share of an answer's places that the pair on trial would have shown too",
            buckets=RATIO_EDGES,
            registry=registry,
        )
        self.shadow_distance = Histogram(
            "placestream_shadow_rank_distance_ratio",
            "Spearman's footrule between an answer and that of the pair on trial; 1: disjoint",
            buckets=RATIO_EDGES,
            registry=registry,
        )
        self.batch_items = Counter(
            "placestream_batch_items",
            "Requests inside of batches by gRPC status code",
            ["code"],
            registry=registry,
        )
        self.feedback = Counter(
            "placestream_feedback_events",
            "Events that backends told: acknowledged by Kafka, or not known to be there (unsure)",
            ["outcome"],
            registry=registry,
        )
        self.access = Counter(
            "placestream_access",
            "Calls by client and what became of them: admitted, or why not",
            ["client", "outcome"],
            registry=registry,
        )
        self._places = Gauge(
            "placestream_catalogue_places", "Places in the catalogue", registry=registry
        )

        self._crowd_age_s = Gauge(
            "placestream_crowd_age_seconds",
            "Age of the oldest crowd (visits of a place) that candidates are chosen by",
            registry=registry,
        )
        self._changes_heard = Gauge(
            "placestream_redis_changes_heard",
            "1 while Redis says which places changed, so that others are not read again",
            registry=registry,
        )
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """What has not happened yet is 0, not absent, so that a rate sees the first time, too."""
        for counter, values in (
            (self.degraded, ("partial", "candidate_order", "popularity")),
            (self.own_writes, ("seen", "not_seen")),
            (self.reasons, ("model", "features")),
            (self.impressions, ("delivered", "dropped")),
            (self.shadow, ("compared", "failed", "skipped")),
            (self.feedback, ("acknowledged", "unsure")),
        ):
            for value in values:
                counter.labels(value)

    @contextmanager
    def request(self, method: str, clock: Callable[[], float]) -> Iterator[Outcome]:
        """Count and time one request; the code is what the body last set on the outcome."""
        outcome, started_s = Outcome(), clock()
        self.under_way += 1
        try:
            yield outcome
        finally:
            self.under_way -= 1
            self.requests.labels(method, outcome.code).inc()
            self.request_s.labels(method).observe(clock() - started_s)

    def watch_catalogue(self, places: Callable[[], int]) -> None:
        """Let the size of the catalogue be read when Prometheus asks."""
        self._places.set_function(lambda: float(places()))

    def watch_crowds(self, age_s: Callable[[], float]) -> None:
        """Let the age of the crowds be read when Prometheus asks."""
        self._crowd_age_s.set_function(age_s)

    def watch_tracking(self, hears: Callable[[], bool]) -> None:
        """Let Prometheus ask whether Redis tells of changes."""
        self._changes_heard.set_function(lambda: float(hears()))

    def serve(self, port: int, host: str) -> Page:
        """Serve `/metrics` in a thread; no page where the port is 0.

        Raises:
            OSError: the port is taken.
        """
        if port == 0:
            return Page(None)
        server, _ = start_http_server(port, addr=host, registry=self.registry)
        return Page(server)
