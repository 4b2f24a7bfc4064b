"""The dashboard of model quality: how good are the answers, and do new models come?"""

from placestream.dashboards.board import Board, Panel, Query, Row, counted, number, rate

_SERVED = "metric:placestream_served_quality_ratio"

QUALITY = Board(
    "quality",
    "placestream / Model quality",
    (
        Row(
            "Now",
            (
                number(
                    "Accuracy",
                    "Of the pair in service on held-out data. Objective: above 85 %.",
                    "percentunit",
                    'max(placestream_model_quality_ratio{metric="accuracy"})',
                    bad_below=0.85,
                ),
                number(
                    "Accuracy on what users chose",
                    "Below 80 % the trainer trains.",
                    "percentunit",
                    f'{_SERVED}:in_service{{metric="accuracy"}}',
                    bad_below=0.8,
                ),
                number(
                    "Click-through",
                    "Share of the newest answers with a click.",
                    "percentunit",
                    f'{_SERVED}:in_service{{metric="click_through"}}',
                ),
                number(
                    "Rating now",
                    "Mean stars that came of answers. Objective: above 4.",
                    "none",
                    "placestream_served_rating_stars:in_service",
                    bad_below=4,
                ),
                number(
                    "Newest pair",
                    "How old its data are; a week is meant to be the longest.",
                    "s",
                    "time() - (max(placestream_newest_pair_timestamp_seconds) > 0)",
                    bad_above=691_200,
                ),
                number(
                    "Interactions that no pair has seen",
                    "A million ask for a training.",
                    "short",
                    "max(placestream_samples_since_newest_pair)",
                    bad_above=1_000_000,
                ),
            ),
        ),
        Row(
            "By what users did",
            (
                Panel(
                    "Click-through and conversion",
                    "Of the pair in service, beside what was usual over the week.",
                    "percentunit",
                    (
                        Query(
                            f'{_SERVED}:in_service{{metric=~"click_through|conversion"}}',
                            "{{metric}}",
                        ),
                        Query(f"{_SERVED}:baseline", "{{metric}}, the week's"),
                    ),
                ),
                Panel(
                    "Served quality",
                    "AUC, accuracy, NDCG@10 and calibration error, by variant and version.",
                    "none",
                    (
                        Query(
                            "max by (metric, variant, version) (placestream_served_quality_ratio"
                            '{metric!~"click_through|conversion"})',
                            "{{metric}} {{variant}} {{version}}",
                        ),
                    ),
                ),
                Panel(
                    "Rating",
                    "Mean stars, by variant and version.",
                    "none",
                    (
                        Query(
                            "max by (variant, version) (placestream_served_rating_stars)",
                            "{{variant}} {{version}}",
                        ),
                    ),
                    bad_below=4,
                ),
                Panel(
                    "Log loss",
                    "Of the places served, in nats.",
                    "none",
                    (
                        Query(
                            "max by (variant, version) (placestream_served_log_loss_nats)",
                            "{{variant}} {{version}}",
                        ),
                    ),
                ),
                Panel(
                    "Stay",
                    "Mean seconds that people stayed.",
                    "s",
                    (
                        Query(
                            "max by (variant, version) (placestream_served_dwell_seconds)",
                            "{{variant}} {{version}}",
                        ),
                    ),
                ),
                Panel(
                    "Answers behind these",
                    "Of the pair in service: settled, with a choice, judged, rated.",
                    "short",
                    (Query("kind:placestream_served_answers:in_service", "{{kind}}"),),
                ),
                Panel(
                    "Outcomes by fate",
                    "Joined ones found their answer; unknown ones named one that is not known.",
                    "ops",
                    (rate("placestream_outcomes_total", "fate"),),
                ),
                Panel(
                    "Error on what users chose",
                    "Mean since it changed last, and how often it rose with this version.",
                    "none",
                    (
                        Query("max(placestream_error_mean_ratio)", "mean error"),
                        Query("max(placestream_error_rises)", "rises"),
                    ),
                ),
                Panel(
                    "Answers settled before their time",
                    "For want of room; outcomes that come later are lost.",
                    "ops",
                    (Query("sum(rate(placestream_outcome_answers_cut_total[$__rate_interval]))"),),
                ),
            ),
        ),
        Row(
            "Trainings",
            (
                Panel(
                    "Held-out quality",
                    "Of the pair in service, at its training.",
                    "none",
                    (
                        Query(
                            "max by (metric) (placestream_model_quality_ratio)",
                            "{{metric}}",
                        ),
                    ),
                ),
                Panel(
                    "Trainings",
                    "By how they ended, within an hour.",
                    "none",
                    (counted("placestream_trainings_total", "outcome"),),
                ),
                Panel(
                    "Asked for",
                    "Requests for new models by reason, within an hour.",
                    "none",
                    (counted("placestream_retrain_requests_total", "reason"),),
                ),
                Panel(
                    "Time of a training",
                    "Mean since the trainer began, from taking up a request to its end.",
                    "s",
                    (
                        Query(
                            "sum(placestream_training_seconds_sum)"
                            " / (sum(placestream_training_seconds_count) > 0)",
                            rare="no training since the trainer began",
                        ),
                    ),
                ),
                Panel(
                    "Refused by the gate",
                    "Parts of the held-out requests on which new pairs lost, within an hour.",
                    "none",
                    (
                        counted(
                            "placestream_gate_refusals_total",
                            "part",
                            "metric",
                            rare="the gate has refused none since the start",
                        ),
                    ),
                ),
                Panel(
                    "Stopped for their data",
                    "Checks of the training data that failed, within an hour.",
                    "none",
                    (
                        counted(
                            "placestream_training_data_checks_failed_total",
                            "check",
                            rare="no check has failed since the start",
                        ),
                    ),
                ),
                Panel(
                    "Interactions since the training",
                    "Of the pair in service, and of the newest pair. A million ask for a training.",
                    "short",
                    (
                        Query("max(placestream_samples_since_training)", "pair in service"),
                        Query("max(placestream_samples_since_newest_pair)", "newest pair"),
                    ),
                ),
            ),
        ),
    ),
)
