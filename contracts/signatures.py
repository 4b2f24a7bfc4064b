"""What the service and the models agree on beyond plain columns: crowds in, parts through.

The candidate model is handed the crowd of every place in reach, and hands back, for the best of
them, what it knows of each (its parts). The service passes these on to the ranker unread.
"""

#: Visits of a place over windows that slide, as the candidate model is handed them.
CROWD = ("visits_1h", "visits_24h", "visits_7d", "visits_28d")
#: A count travels in a byte: round(CROWD_SCALE * log(1 + visits)), which stays within 3 %.
CROWD_SCALE = 16.0
#: What the candidate model says of a place, in this order (`models/parts.py` says how).
PARTS = (
    # the place
    "visits", "visitors", "category_visits", "around", "density",
    # the place at this moment
    "hour", "category_hour", "around_hour", "weekday",
    # the place to this user, by where others go who go where this user goes
    "shared", "shared_lately", "company", "company_lately", "next", "next_lately",
    "close", "close_hour", "follows",
    # the user's kinds of places
    "kind", "kind_hour", "kind_distinct",
    # from here, and the user's own visits there
    "metres", "metres_near", "here", "here_hour", "here_lately",
    # the user at this moment
    "gap", "history", "hour_sin", "hour_cos", "novelty",
    # the place's crowd
    "crowd_1h", "crowd_24h", "crowd_7d", "crowd_28d",
)  # fmt: skip
