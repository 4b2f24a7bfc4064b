"""TensorFlow, imported in one place: `from inference.model_server.runtime import tf`."""

from typing import Any

import tensorflow as _tensorflow

tf: Any = _tensorflow

# SavedModels are loaded into sessions, as the real server does; each load would warn that Python
# programs should not.
tf.get_logger().setLevel("ERROR")


def session_config(threads: int) -> Any:
    """Return a session's `ConfigProto`: CPU only, operations run in the calling thread.

    Handing each operation to a pool costs more than our small models take to compute (measured:
    350 us a call in the caller's thread, 550 us with a pool of one).

    The real server does the same with `--tensorflow_intra_op_parallelism=<threads>` and
    `--tensorflow_inter_op_parallelism=-1`; by default it takes as many threads as there are cores,
    for both. TensorFlow has one pool of the former in a process: its first session sizes it.

    Args:
        threads: TensorFlow threads that one operation may use.
    """
    return tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=threads,
        inter_op_parallelism_threads=-1,
        device_count={"GPU": 0},
    )
