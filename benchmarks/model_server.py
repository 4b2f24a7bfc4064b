"""`python -m benchmarks.model_server`: the embedded model server's rate beside the bare model's.

One ranker of the default kind and size (weights drawn, not learned: they cost the same) is asked
with 200 places a call. In process: its session, called in a loop. By the server: the same calls
over gRPC from a few concurrent callers, without batching and with it. The model runs on one core
each time, and the callers of the server on the others; the rounds alternate.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.cores import pin, split
from benchmarks.report import Figure, publish, ratio

ROWS, CATEGORIES = 200, 400
PREDICT = "/tensorflow.serving.PredictionService/Predict"
OUTPUTS = ("probability", "score")
#: No waiting for others, and the default's five requests together.
BATCHING = "max_batch_size { value: 1000 } num_batch_threads { value: 1 }"
CONFIG = """model_config_list {{ config {{
  name: "ranker" base_path: "{}" model_platform: "tensorflow"
}} }}"""


def export_ranker(directory: Path) -> dict[str, Any]:
    """Write a ranker of the default size; return inputs of `ROWS` places."""
    import numpy as np
    import tensorflow as tf

    from contracts.ids import as_int64
    from models.listwise import Scales
    from models.listwise_ranker import NETWORKS, ListwiseRanker
    from models.ranking_model import ranker_signature
    from models.vocabulary import Vocabulary

    rng = np.random.default_rng(0)
    specs = {spec.name: spec for spec in ranker_signature()}
    width = specs["features"].shape[1] + specs["parts"].shape[1]
    knots = np.sort(rng.random((width, Scales.KNOTS), np.float32))
    unit = np.ones(width, np.float32)
    scales = Scales(knots, np.full_like(knots, 0.2), unit, unit)
    kinds = Vocabulary.of(rng.integers(1, 2**63, CATEGORIES, np.uint64))
    model = ListwiseRanker(scales, kinds, rng, NETWORKS, parts=True)
    serve = tf.function(model.serve, input_signature=list(specs.values()))
    signatures = {"serving_default": serve.get_concrete_function()}
    tf.saved_model.save(model, str(directory), signatures=signatures)
    ids = {"user_id": np.ones(ROWS, np.int64), "place_id": np.arange(ROWS)}
    return ids | {
        "features": rng.random((ROWS, specs["features"].shape[1]), np.float32),
        "parts": rng.random((ROWS, specs["parts"].shape[1]), np.float32),
        "category_id": as_int64(rng.choice(kinds.hashes, ROWS)),
    }


def in_process(directory: Path, inputs: dict[str, Any]) -> Callable[[], object]:
    """One call of the model's session."""
    from inference.model_server.servable import Servable

    servable = Servable(directory, 1)
    signature = servable.signatures["serving_default"]
    feeds = {signature.inputs[name].name: inputs[name] for name in inputs}
    fetches = [signature.outputs[name].name for name in OUTPUTS]
    return lambda: servable.run(feeds, fetches)


@contextmanager
def served(root: Path, batching: bool, cores: set[int]) -> Iterator[str]:
    """The address of a server of the ranker, a process on these cores."""
    from contracts.settings import Settings
    from placestream.stack.child import Child
    from placestream.stack.environment import environment
    from placestream.stack.ports import LOCALHOST, free_port

    config, file = root / "models.config", root / "batching.config"
    config.write_text(CONFIG.format(root / "ranker"))
    file.write_text(BATCHING)
    settings = Settings(
        _env_file=None,
        model_server=f"{LOCALHOST}:{free_port()}",
        model_server_rest_port=0,
        model_config_file=config,
        model_batching_file=file if batching else None,
    )
    child = Child.spawn(
        "model-server",
        [sys.executable, "-m", "placestream", "model-server"],
        root / f"server-{batching}.log",
        env=os.environ | environment(settings),
    )
    pin(child.pid, cores)
    try:
        yield settings.model_server
    finally:
        child.kill()


def over_grpc(address: str, inputs: dict[str, Any]) -> Callable[[], object]:
    """One call of the server, its request made beforehand."""
    import grpc

    from inference import serving_messages as messages
    from inference.tensor_codec import encode

    request = messages.PredictRequest(output_filter=OUTPUTS)
    request.model_spec.name = "ranker"
    for name, array in inputs.items():
        encode(array, request.inputs[name])
    raw = request.SerializeToString()
    # Neither is counted against the server: what a caller does with the bytes is its own.
    predict: Any = grpc.insecure_channel(address).unary_unary(PREDICT)
    ready_s = time.monotonic() + 120
    while True:
        try:
            predict(raw, timeout=10, wait_for_ready=True)
            break
        except grpc.RpcError:
            if time.monotonic() > ready_s:
                raise
            time.sleep(0.2)
    return lambda: predict(raw, timeout=30)


def rate(call: Callable[[], object], callers: int, seconds: float) -> float:
    """Calls a second by so many threads."""
    made = [0] * callers
    ends_s = time.monotonic() + seconds

    def work(i: int) -> None:
        while time.monotonic() < ends_s:
            call()
            made[i] += 1

    threads = [threading.Thread(target=work, args=(i,)) for i in range(callers)]
    began_s = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(made) / (time.monotonic() - began_s)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=4, help="of the server, at once")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="end in a line of JSON")
    options = parser.parse_args()
    core, others = split()
    names = ("in process", "server", "server with batching")
    rates: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="placestream-bench-") as folder, ExitStack() as stack:
        root = Path(folder)
        inputs = export_ranker(root / "ranker" / "1")
        bare = in_process(root / "ranker" / "1", inputs)
        plain, batched = (
            over_grpc(stack.enter_context(served(root, batching, core)), inputs)
            for batching in (False, True)
        )
        works = (
            (bare, core, 1),
            (plain, others, options.callers),
            (batched, others, options.callers),
        )
        for _ in range(options.rounds):
            for name, (call, cores, callers) in zip(names, works, strict=True):
                pin(os.getpid(), cores)
                rates[name].append(rate(call, callers, options.seconds))
    figures = [Figure(name, "calls/s", tuple(rates[name])) for name in names]
    publish(
        f"A ranker of the default size, {ROWS} places a call, on one core",
        [
            *figures,
            ratio("server / in process", figures[1], figures[0]),
            ratio("server with batching / in process", figures[2], figures[0]),
        ],
        {"callers": options.callers, "rows": ROWS, "rounds": options.rounds},
    )


if __name__ == "__main__":
    main()
