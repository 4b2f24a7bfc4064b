"""The dashboard of experiments: which pair is on trial, and how does it do?"""

from placestream.dashboards.board import Board, Panel, Query, Row, counted, mean, number, rate

_NO_TRIAL = "no pair is on trial"
_NO_SHADOW = "no pair has been shadowed since the service began"

EXPERIMENTS = Board(
    "experiments",
    "placestream / Experiments",
    (
        Row(
            "Now",
            (
                number(
                    "Pair in service",
                    "Its version; 0: none.",
                    "none",
                    "max(placestream_pair_in_service)",
                ),
                number(
                    "On trial for",
                    "How long the pair on trial has been in its state.",
                    "s",
                    "time() - max(placestream_experiment_since_timestamp_seconds)",
                    rare=_NO_TRIAL,
                ),
                number(
                    "Last look at the rollout",
                    "Ago; it looks every two seconds.",
                    "s",
                    "time() - max(placestream_rollout_look_timestamp_seconds)",
                    bad_above=600,
                ),
                number(
                    "Users of the canary",
                    "Who had an answer of the pair on trial.",
                    "short",
                    'max(placestream_canary_users{variant="canary"})',
                    rare="no canary",
                ),
                number(
                    "Share as meant (p)",
                    "Below 0.001 users are lost, and the trial ends.",
                    "none",
                    "min(placestream_canary_mismatch_p_ratio)",
                    bad_below=0.001,
                ),
                number(
                    "Unseen answers that failed",
                    "Share of those that a pair on trial was asked for within an hour.",
                    "percentunit",
                    'sum(increase(placestream_shadow_answers_total{outcome="failed"}[1h])) / '
                    "(sum(increase(placestream_shadow_answers_total[1h])) > 0)",
                    rare="no pair was shadowed within the hour",
                    bad_above=0.1,
                ),
            ),
        ),
        Row(
            "Shadow",
            (
                Panel(
                    "State of the pair on trial",
                    "Since when; by version and state.",
                    "dateTimeFromNow",
                    (
                        Query(
                            "1000 * max by (version, state) "
                            "(placestream_experiment_since_timestamp_seconds)",
                            "{{version}} {{state}}",
                            rare=_NO_TRIAL,
                        ),
                    ),
                ),
                Panel(
                    "Shadow answers",
                    "Answers that a pair on trial was asked for too, unseen.",
                    "ops",
                    (rate("placestream_shadow_answers_total", "outcome"),),
                ),
                Panel(
                    "How alike the two pairs answer",
                    "Mean share of places that both show, and mean distance of their orders.",
                    "percentunit",
                    (
                        mean("placestream_shadow_overlap_ratio", "shared places", _NO_SHADOW),
                        mean("placestream_shadow_rank_distance_ratio", "footrule", _NO_SHADOW),
                    ),
                ),
            ),
        ),
        Row(
            "Canary",
            (
                Panel(
                    "Effect of the pair on trial",
                    "Estimate and the ends of its always-valid interval, by metric.",
                    "percentunit",
                    (
                        Query(
                            "max by (metric, bound) (placestream_canary_effect_ratio)",
                            "{{metric}} {{bound}}",
                            rare="no canary, or too few users yet",
                        ),
                    ),
                    width=12,
                ),
                Panel(
                    "Users by variant",
                    "Who had an answer since the canary began.",
                    "short",
                    (
                        Query(
                            "max by (variant) (placestream_canary_users)",
                            "{{variant}}",
                            rare="no canary",
                        ),
                    ),
                    width=12,
                ),
                Panel(
                    "Click-through and conversion on trial",
                    "Of the canary's users, beside those of the pair in service.",
                    "percentunit",
                    (
                        Query(
                            "metric:placestream_served_quality_ratio:on_trial"
                            '{metric=~"click_through|conversion"}',
                            "{{metric}} on trial",
                            rare="no canary",
                        ),
                        Query(
                            "metric:placestream_served_quality_ratio:in_service"
                            '{metric=~"click_through|conversion"}',
                            "{{metric}} in service",
                        ),
                    ),
                    width=12,
                ),
                Panel(
                    "Answers behind them",
                    "Of the pair on trial: settled, with a choice, judged, rated.",
                    "short",
                    (
                        Query(
                            "kind:placestream_served_answers:on_trial", "{{kind}}", rare="no canary"
                        ),
                    ),
                    width=12,
                ),
            ),
        ),
        Row(
            "How trials ended",
            (
                Panel(
                    "Trials that ended",
                    "Within an hour.",
                    "none",
                    (counted("placestream_experiments_total", "outcome"),),
                ),
                Panel(
                    "Rolled back, by cause",
                    "Within an hour.",
                    "none",
                    (counted("placestream_rollbacks_total", "cause"),),
                ),
                Panel(
                    "Version in service",
                    "That answered last, by model.",
                    "none",
                    (Query("max by (model) (placestream_served_model_version)", "{{model}}"),),
                ),
            ),
        ),
    ),
)
