"""The dashboard of the service: is it up, fast and whole?"""

from placestream.dashboards.board import Board, Panel, Query, Row, number, quantiles, rate

_RECOMMEND = '{method="Recommend"}'

SERVICE = Board(
    "service",
    "placestream / Service",
    (
        Row(
            "Now",
            (
                number(
                    "Requests",
                    "Recommendations asked for, per second.",
                    "reqps",
                    f"sum(method:placestream_requests:rate5m{_RECOMMEND})",
                ),
                number(
                    "Failing",
                    "Share of requests that end in an error of the service's own.",
                    "percentunit",
                    f"method:placestream_request_failures:ratio_rate5m{_RECOMMEND}"
                    " or on () 0 * sum(method:placestream_requests:rate5m)",
                    bad_above=0.01,
                ),
                number(
                    "p95",
                    "One request in twenty takes longer. Objective: 50 ms.",
                    "s",
                    f"method:placestream_request_seconds:p95_rate5m{_RECOMMEND}",
                    bad_above=0.05,
                ),
                number(
                    "Degraded",
                    "Share of answers that not all stages stand behind.",
                    "percentunit",
                    "sum(level:placestream_degraded:ratio_rate5m)",
                    bad_above=0.05,
                ),
                number(
                    "Under way",
                    "Requests that are being answered now.",
                    "none",
                    "sum(placestream_requests_in_flight)",
                ),
                number(
                    "Places in the catalogue",
                    "Places that the service knows; 0 answers nobody.",
                    "none",
                    "min(placestream_catalogue_places)",
                    bad_below=1,
                ),
            ),
        ),
        Row(
            "Answers",
            (
                Panel(
                    "Requests by status",
                    "All methods. What callers do wrong is INVALID_ARGUMENT.",
                    "reqps",
                    (rate("placestream_requests_total", "method", "code"),),
                ),
                Panel(
                    "Latency",
                    "Recommend, from a request's arrival to its answer.",
                    "s",
                    quantiles("placestream_request_seconds", where=_RECOMMEND),
                    bad_above=0.05,
                ),
                Panel(
                    "Time by stage (p95)",
                    "Which stage takes the time.",
                    "s",
                    (Query("stage:placestream_stage_seconds:p95_rate5m", "{{stage}}"),),
                ),
                Panel(
                    "Degraded answers",
                    "By what was left: without the ranker, without both models, or in part.",
                    "reqps",
                    (rate("placestream_degraded_total", "level"),),
                ),
                Panel(
                    "Age of the asking user's newest event",
                    "How long ago users did what the answer knows of them last.",
                    "s",
                    quantiles("placestream_feature_age_seconds"),
                ),
                Panel(
                    "Impressions",
                    "Served answers on their way to Kafka. None should be dropped.",
                    "ops",
                    (rate("placestream_impressions_total", "outcome"),),
                ),
            ),
        ),
        Row(
            "Objectives",
            (
                Panel(
                    "How fast the error budgets burn",
                    "Times the rate at which 28 days' budget lasts 28 days; over an hour.",
                    "none",
                    (
                        Query(
                            "slo:placestream_error:ratio_rate1h"
                            " / on (slo) slo:placestream_budget:ratio",
                            "{{slo}}",
                        ),
                    ),
                    width=12,
                    bad_above=14.4,
                ),
                Panel(
                    "Missed over three days",
                    "Share that missed its objective.",
                    "percentunit",
                    (Query("slo:placestream_error:ratio_rate3d", "{{slo}}"),),
                    width=12,
                ),
            ),
        ),
        Row(
            "Callers",
            (
                Panel(
                    "Calls by client",
                    "Admitted, or why not.",
                    "reqps",
                    (
                        rate(
                            "placestream_access_total",
                            "client",
                            "outcome",
                            rare="only where PLACESTREAM_SERVE_CLIENTS_FILE names clients",
                        ),
                    ),
                    width=6,
                ),
                Panel(
                    "Feedback",
                    "Events that backends told through the service.",
                    "ops",
                    (rate("placestream_feedback_events_total", "outcome"),),
                    width=6,
                ),
                Panel(
                    "Read your writes",
                    "Answers that were to reflect what the caller had just sent.",
                    "ops",
                    (rate("placestream_read_your_writes_total", "outcome"),),
                    width=6,
                ),
                Panel(
                    "Requests inside of batches",
                    "By status.",
                    "ops",
                    (
                        rate(
                            "placestream_batch_items_total",
                            "code",
                            rare="only where somebody calls BatchRecommend",
                        ),
                    ),
                    width=6,
                ),
            ),
        ),
        Row(
            "Model server",
            (
                Panel(
                    "Model server",
                    "Calls by model and status.",
                    "reqps",
                    (rate(":tensorflow:serving:request_count", "model_name", "status"),),
                    width=12,
                ),
                Panel(
                    "Time in the model server",
                    "From a call's arrival to its answer.",
                    "µs",
                    quantiles(":tensorflow:serving:request_latency", "model_name"),
                    width=12,
                ),
            ),
        ),
    ),
)
