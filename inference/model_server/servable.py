"""One loaded version of a model: a SavedModel in a session, ready to run its signatures.

The SavedModel is loaded into a session, not with `tf.saved_model.load`: that is how the real
server does it, a subset of the outputs prunes the graph, `close` frees the memory for certain, and
it costs less (measured on a 256-128 ranker with 200 rows: 230 us a call, against 490 us through the
concrete function).
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from tensorflow.core.protobuf import config_pb2

from inference.model_server.batching import Batcher, batchable
from inference.model_server.batching_config import BatchingParameters
from inference.model_server.data_types import type_name
from inference.model_server.errors import from_exception, invalid_argument
from inference.model_server.runtime import session_config, tf
from inference.model_server.saved_model import TAG, check_graphs, load_error
from inference.tensor_codec import data_type, numpy_type

# Compiled calls that one version keeps: each set of outputs asked for has its own.
_MOST_CALLS: Final = 64


def _tensors(signatures: Mapping[str, Any]) -> dict[str, list[int]]:
    """Sizes of all tensors that signatures name."""
    return {
        info.name: [dim.size for dim in info.tensor_shape.dim]
        for signature in signatures.values()
        for info in (*signature.inputs.values(), *signature.outputs.values())
    }


SignatureDef = Any
"""A `tensorflow.SignatureDef`: inputs, outputs and defaults by alias, and its method's name."""


@dataclass(frozen=True)
class _Call:
    """A compiled set of feeds and fetches.

    Args:
        run: arrays in the order of the feeds to arrays in the order of the fetches.
        types: of the feeds in the graph, in the order of the tensors' names: name, numpy type
            (None: no feed can have it) and `DataType`.
    """

    run: Any
    types: Sequence[tuple[str, np.dtype[Any] | None, int]]

    def check(self, feeds: Mapping[str, np.ndarray]) -> None:
        """Refuse a feed of another type than the graph's, in the words of `Session::Run`.

        Underneath, ours is `Session::RunCallable`, which says it differently.

        Raises:
            ServingError: INVALID_ARGUMENT.
        """
        for index, (name, dtype, number) in enumerate(self.types):
            if dtype is None or feeds[name].dtype != dtype:
                provided = type_name(data_type(feeds[name].dtype))
                raise invalid_argument(
                    f"Expects arg[{index}] to be {type_name(number)} but {provided} is provided"
                )


class Servable:
    """A SavedModel in memory.

    Args:
        path: the version's directory.
        threads: TensorFlow threads that one operation may use.
        batching: how concurrent calls are put together; None: each is computed by itself.

    Raises:
        ServingError: the SavedModel cannot be loaded.
    """

    def __init__(
        self, path: Path, threads: int, batching: BatchingParameters | None = None
    ) -> None:
        self.path = path
        check_graphs(path)
        graph = tf.Graph()
        with graph.as_default():
            self._session: Any = tf.compat.v1.Session(graph=graph, config=session_config(threads))
            try:
                meta_graph = tf.compat.v1.saved_model.load(self._session, [TAG], str(path))
            except Exception as error:
                self._session.close()
                raise load_error(error, path) from error
        self.signatures: dict[str, SignatureDef] = dict(meta_graph.signature_def)
        self._batcher = Batcher(batching) if batching is not None else None
        self._rows = batchable(_tensors(self.signatures))
        self._calls: dict[tuple[tuple[str, ...], tuple[str, ...]], _Call] = {}
        self._lock = threading.Lock()

    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]) -> list[np.ndarray]:
        """Compute tensors of the graph; many threads may do so at once.

        Args:
            feeds: by tensor name, such as `serving_default_features:0`.
            fetches: names of the tensors to compute, each once.

        Returns:
            One array for each of `fetches`.

        Raises:
            ServingError: with TensorFlow's status and message.
        """
        call = self._call(tuple(feeds), tuple(fetches))
        call.check(feeds)

        def compute(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
            try:
                results: list[np.ndarray] = call.run(*inputs)
            except Exception as error:
                raise from_exception(error) from error
            return results

        inputs = list(feeds.values())
        batcher = self._batcher
        if batcher is None or not self._rows.issuperset((*feeds, *fetches)):
            return compute(inputs)
        if not batcher.takes(inputs):
            return compute(inputs)
        kinds = tuple((array.dtype.str, array.shape[1:]) for array in inputs)
        return batcher.run((call.run, kinds), inputs, compute)

    def close(self) -> None:
        """Free the model's memory. Nobody may be running it."""
        self._calls.clear()
        self._session.close()

    def _call(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> _Call:
        key = (feeds, fetches)
        call = self._calls.get(key)
        if call is None:
            with self._lock:
                if len(self._calls) >= _MOST_CALLS:
                    self._calls.clear()
                call = self._calls[key] = self._compile(feeds, fetches)
        return call

    def _compile(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> _Call:
        """Bind feeds and fetches once; a call then skips `Session.run`'s work in Python.

        `Session.make_callable` does so only without feeds. What it calls underneath has no public
        name, but Keras has called it under this one since TensorFlow 1.12.
        """
        options = config_pb2.CallableOptions(feed=feeds, fetch=fetches)
        run = self._session._make_callable_from_options(options)
        types = [(name, self._data_type(name)) for name in sorted(feeds)]
        return _Call(run, [(name, numpy_type(number), number) for name, number in types])

    def _data_type(self, tensor_name: str) -> int:
        """The `DataType` of a tensor of the graph; a name without `:` is an operation's first."""
        full = tensor_name if ":" in tensor_name else f"{tensor_name}:0"
        dtype = self._session.graph.get_tensor_by_name(full).dtype
        return int(dtype.base_dtype.as_datatype_enum)
