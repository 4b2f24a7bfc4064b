"""What the archive holds: its streams, and the columns of each.

Layout: see `online_features.archive`, which reads it; `streams.archive` writes it.
"""

import pyarrow as pa

INTERACTIONS, PLACE_UPDATES, CONTEXT = "interactions", "place_updates", "context"
IMPRESSIONS = "impressions"
_POSITION = [
    pa.field("partition", pa.int32(), nullable=False),
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("received_s", pa.float64(), nullable=False),
    pa.field("time_s", pa.float64(), nullable=False),
]
#: One row an interaction: what folds need, as columns, and the event's own bytes.
INTERACTION_SCHEMA = pa.schema(
    [
        *_POSITION,
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("place_id", pa.string(), nullable=False),
        pa.field("user", pa.uint64(), nullable=False),
        pa.field("place", pa.uint64(), nullable=False),
        pa.field("kind", pa.int8(), nullable=False),
        pa.field("rating", pa.float32(), nullable=False),
        pa.field("age_group", pa.int8(), nullable=False),
        pa.field("event_hash", pa.uint64(), nullable=False),
        pa.field("lat", pa.float64(), nullable=False),
        pa.field("lng", pa.float64(), nullable=False),
        pa.field("dwell_s", pa.float32(), nullable=False),
        pa.field("request_id", pa.string()),
        pa.field("raw", pa.binary(), nullable=False),
    ]
)
#: Place updates and context: the key and the event's own bytes (null: a tombstone).
RAW_SCHEMA = pa.schema([*_POSITION, pa.field("key", pa.string()), pa.field("raw", pa.binary())])
#: One row a served answer, its places as parallel lists in their order. `raw` holds the event's own
#: bytes only where they say something that these columns do not.
IMPRESSION_SCHEMA = pa.schema(
    [
        *_POSITION,
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("lat", pa.float64(), nullable=False),
        pa.field("lng", pa.float64(), nullable=False),
        pa.field("variant", pa.string(), nullable=False),
        pa.field("degradation", pa.string(), nullable=False),
        pa.field("models", pa.map_(pa.string(), pa.int64()), nullable=False),
        pa.field("feature_set", pa.string(), nullable=False),
        pa.field("place_ids", pa.list_(pa.string()), nullable=False),
        pa.field("positions", pa.list_(pa.int32()), nullable=False),
        pa.field("scores", pa.list_(pa.float64()), nullable=False),
        pa.field("probabilities", pa.list_(pa.float64()), nullable=False),
        pa.field("propensities", pa.list_(pa.float64()), nullable=False),
        pa.field("features", pa.list_(pa.list_(pa.float32())), nullable=False),
        pa.field("raw", pa.binary()),
        # Files of earlier versions do not have it.
        pa.field("parts", pa.list_(pa.list_(pa.float32()))),
    ]
)
SCHEMAS = {
    INTERACTIONS: INTERACTION_SCHEMA,
    PLACE_UPDATES: RAW_SCHEMA,
    CONTEXT: RAW_SCHEMA,
    IMPRESSIONS: IMPRESSION_SCHEMA,
}
