"""The dashboard of features and drift: does the ranker see what it was trained on?"""

from placestream.dashboards.board import Board, Panel, Query, Row, number, quantiles, rate

DRIFT = Board(
    "drift",
    "placestream / Features and drift",
    (
        Row(
            "Now",
            (
                number(
                    "Answers judged",
                    "In the window that is compared with the training; too few say nothing.",
                    "short",
                    "max(placestream_drift_window_answers)",
                ),
                number(
                    "Greatest PSI",
                    "Of a column, beyond chance. Above 0.1 it warns, above 0.2 the trainer trains.",
                    "none",
                    "max(feature:placestream_drift_psi_ratio:max)"
                    " or on () 0 * max(placestream_drift_window_answers)",
                    bad_above=0.2,
                ),
                number(
                    "Least KS p-value",
                    "Corrected for the number of columns; below 0.05 a column differs for certain.",
                    "none",
                    "min(feature:placestream_drift_ks_p_ratio:min)",
                    bad_below=0.05,
                ),
                number(
                    "MMD over its threshold",
                    "Of all columns together; above 1 they are not as in training.",
                    "none",
                    "max(placestream_drift_mmd_ratio) / max(placestream_drift_mmd_threshold_ratio)",
                    bad_above=1,
                ),
                number(
                    "Rises of the error",
                    "Found by ADWIN since this version is in service.",
                    "none",
                    "max(placestream_error_rises)",
                    bad_above=0.5,
                ),
                number(
                    "Oldest crowd",
                    "Age of what candidates are chosen by; after 15 minutes it counts as none.",
                    "s",
                    "max(placestream_crowd_age_seconds)",
                    bad_above=900,
                ),
            ),
        ),
        Row(
            "Columns of the ranker",
            (
                Panel(
                    "PSI by column",
                    "The ten highest, clock and weather left out, beyond chance.",
                    "none",
                    (
                        Query(
                            "topk(10, feature:placestream_drift_psi_ratio:max)",
                            "{{feature}}",
                            rare="no column differs by more than sampling alone makes it differ",
                        ),
                    ),
                    width=12,
                    bad_above=0.2,
                ),
                Panel(
                    "PSI of all columns",
                    "As measured, chance, clock and weather included; the ten highest.",
                    "none",
                    (Query("topk(10, placestream_drift_psi_ratio)", "{{feature}}"),),
                    width=12,
                ),
                Panel(
                    "KS p-values",
                    "The ten least, corrected for the number of columns.",
                    "none",
                    (
                        Query(
                            "bottomk(10, feature:placestream_drift_ks_p_ratio:min)", "{{feature}}"
                        ),
                    ),
                    width=12,
                    bad_below=0.05,
                ),
                Panel(
                    "All columns together",
                    "Squared maximum mean discrepancy, and what chance passes once in 500 looks.",
                    "none",
                    (
                        Query("max(placestream_drift_mmd_ratio)", "MMD²"),
                        Query("max(placestream_drift_mmd_threshold_ratio)", "threshold"),
                        Query("min(placestream_drift_mmd_p_ratio)", "p"),
                    ),
                    width=12,
                ),
            ),
        ),
        Row(
            "What is behind it",
            (
                Panel(
                    "Answers not judged",
                    "By reason; another version's answers are normal in a trial.",
                    "ops",
                    (rate("placestream_drift_impressions_skipped_total", "reason"),),
                ),
                Panel(
                    "What sampling alone may reach",
                    "PSI of the columns about which a window says least.",
                    "none",
                    (Query("topk(5, placestream_drift_chance_ratio)", "{{feature}}"),),
                ),
                Panel(
                    "Age of users' newest events",
                    "In what the ranker sees.",
                    "s",
                    quantiles("placestream_feature_age_seconds"),
                ),
                Panel(
                    "Drift loop",
                    "1 while drift is watched and would lead to new models, else 0: an objective.",
                    "none",
                    (Query("slo:placestream_drift_loop:working", "works"),),
                    width=24,
                    bad_below=1,
                ),
            ),
        ),
    ),
)
