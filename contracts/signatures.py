"""What the service and the models agree on beyond plain columns: crowds in, parts through.

The candidate model is handed the crowd of every place in reach, and hands back, for the best of
them, what it knows of each (its parts). The service passes these on to the ranker unread. Both bear
the mark of the features that they learned from, as the name of a signature: the one thing that TF
Serving's protocol tells of a version beside its tensors.
"""

from collections.abc import Sequence

import xxhash

_MARK = "features_"
#: Name of the candidate model's second signature, and of its output: place ids in, a vector of each
#: out, float32[n, d], by whose cosine an answer can be varied; all 0 where none is known. A
#: signature of its own, since a request that wants no variety then asks, and a server that batches
#: by the tensors asked for then computes, what they did before. Older exports have none.
VECTORS = "vectors"

#: Name of the signature of either model that answers like the one by default, but takes the ids of
#: places, users and categories as strings, as events bear them. For callers who hash none.
BY_STRING = "by_string_id"

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


def features_mark(columns: Sequence[str], feature_set: str) -> str:
    """The name of the signature that says what a model learned from.

    Args:
        columns: of the ranker, in their order.
        feature_set: version of the definitions.
    """
    said = "\n".join((feature_set, *columns, *PARTS, *CROWD))
    return f"{_MARK}{xxhash.xxh3_64_hexdigest(said.encode())}"


def is_mark(signature: str) -> bool:
    """Whether a signature's name is such a mark."""
    return signature.startswith(_MARK)
