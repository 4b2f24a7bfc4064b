"""The gRPC service: its pipeline, the client of TF Serving, and the embedded model server.

Imports contracts and online_features; a model reaches it only through TF Serving's protocol.
"""

import os

# gRPC's core reads it once: before any module here imports it. Since 1.80 each read passes through
# a pool of its threads before Python's sees it; with the engine from before, a request has a third
# fewer thread switches (that calls keep out of the pool: `tests/inference/test_grpc_engine.py`). A
# version of gRPC that no longer knows a name says so in its log, and goes on.
os.environ.setdefault(
    "GRPC_EXPERIMENTS",
    "-event_engine_client,-event_engine_listener,-event_engine_for_all_other_endpoints,"
    "-event_engine_callback_cq",
)
