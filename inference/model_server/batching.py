"""Concurrent calls computed as one: their rows are put together, and their answers cut apart.

The first caller of a batch computes it in its own thread; those who come while it waits for its
turn join it. So a lone call pays nothing, and the busier the server, the larger its batches.
Source of the parameters and of the refusals: batching_session.cc and batching_util.h of TF Serving,
tensorflow/core/kernels/batching_util/shared_batch_scheduler.h.
"""

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final

import grpc
import numpy as np

from inference.model_server.batching_config import BatchingParameters
from inference.model_server.errors import ServingError, invalid_argument

Arrays = Sequence[np.ndarray]
Compute = Callable[[Arrays], list[np.ndarray]]

_FULL: Final = "The batch scheduling queue to which this task was submitted is full"
_NO_INPUT: Final = "Batching Run() must have at least one input tensor"
_NO_ROWS: Final = "Batching Run() input tensors must have at least one dimension"
_UNEQUAL: Final = "Batching Run() input tensors must have equal 0th-dimension size"


class _Batch:
    """Calls that will be computed together; changes under the batcher's lock until it is closed."""

    def __init__(self) -> None:
        self.members: list[Arrays] = []
        self.rows = 0
        self.full = threading.Event()
        self.done = threading.Event()
        self.results: list[np.ndarray] = []
        self.error: ServingError | None = None

    def add(self, inputs: Arrays) -> int:
        """Join; returns the member's first row."""
        first = self.rows
        self.members.append(inputs)
        self.rows += len(inputs[0])
        return first


class Batcher:
    """Batches of one version of a model."""

    def __init__(self, parameters: BatchingParameters) -> None:
        self._parameters = parameters
        self._lock = threading.Lock()
        self._open: dict[Hashable, _Batch] = {}
        self._waiting = 0
        self._turns = threading.Semaphore(parameters.num_batch_threads)

    def takes(self, inputs: Arrays) -> bool:
        """Whether these inputs are to share a computation; not so if they have no rows at all.

        Raises:
            ServingError: INVALID_ARGUMENT; inputs of different first sizes, or more rows than
                one batch may have. A call is not split, and not let past the limit either.
        """
        if not inputs:
            raise invalid_argument(_NO_INPUT)
        if not all(array.ndim for array in inputs):
            raise invalid_argument(_NO_ROWS)
        rows, most = len(inputs[0]), self._parameters.max_batch_size
        if any(len(array) != rows for array in inputs):
            raise invalid_argument(_UNEQUAL)
        if rows > most:
            raise invalid_argument(
                f"Task size {rows} is larger than maximum input batch size {most}"
            )
        return rows > 0

    def run(self, key: Hashable, inputs: Arrays, compute: Compute) -> list[np.ndarray]:
        """Compute these rows, together with those of others that have the same key.

        Args:
            key: of what is computed; inputs of one key differ in their first size only.
            inputs: arrays [rows, ...].
            compute: inputs of any number of rows to outputs of as many.

        Raises:
            ServingError: UNAVAILABLE, too many batches wait; or what `compute` raises for these
                rows alone: no call fails by another's fault.
        """
        batch, first, leads = self._join(key, inputs)
        if leads:
            self._lead(key, batch, compute)
        else:
            batch.done.wait()
        if batch.error is not None:
            if len(batch.members) == 1:
                raise batch.error
            return compute(inputs)
        rows = slice(first, first + len(inputs[0]))
        return [output[rows] for output in batch.results]

    def _join(self, key: Hashable, inputs: Arrays) -> tuple[_Batch, int, bool]:
        rows, most = len(inputs[0]), self._parameters.max_batch_size
        with self._lock:
            batch = self._open.get(key)
            if batch is not None and batch.rows + rows <= most:
                first = batch.add(inputs)
                if batch.rows == most:
                    batch.full.set()
                return batch, first, False
            if batch is not None:
                batch.full.set()  # it takes no more: its turn need not wait for others
            if self._waiting >= self._parameters.max_enqueued_batches:
                raise self._full()
            self._waiting += 1
            batch = self._open[key] = _Batch()
            return batch, batch.add(inputs), True

    def _full(self) -> ServingError:
        return ServingError(
            grpc.StatusCode.UNAVAILABLE,
            f"{_FULL}; currently {self._waiting} batches enqueued and max_enqueued_batches is "
            f"{self._parameters.max_enqueued_batches}",
        )

    def _lead(self, key: Hashable, batch: _Batch, compute: Compute) -> None:
        until_s = time.monotonic() + self._parameters.batch_timeout_micros / 1e6
        with self._turns:
            if (left_s := until_s - time.monotonic()) > 0:
                batch.full.wait(left_s)
            with self._lock:
                self._waiting -= 1
                if self._open.get(key) is batch:
                    del self._open[key]
            try:
                batch.results = self._computed(batch, compute)
            except ServingError as error:
                batch.error = error
            finally:
                if not batch.results and batch.error is None:
                    batch.error = ServingError(
                        grpc.StatusCode.INTERNAL, "the batch was not computed"
                    )
                batch.done.set()

    def _computed(self, batch: _Batch, compute: Compute) -> list[np.ndarray]:
        if len(batch.members) == 1:
            return compute(batch.members[0])
        joined = [np.concatenate(arrays) for arrays in zip(*batch.members, strict=True)]
        results = compute(joined)
        if any(not output.ndim or len(output) != batch.rows for output in results):
            # The signature promised rows, and gave something else: each is computed alone.
            raise ServingError(grpc.StatusCode.INTERNAL, "an output has not one row for each")
        return results


def batchable(signature_tensors: Mapping[str, Sequence[int]]) -> frozenset[str]:
    """The tensors whose first dimension is open, by their name: only those can be put together.

    Args:
        signature_tensors: sizes of each, -1 where open; empty for scalars and unknown rank.
    """
    return frozenset(name for name, sizes in signature_tensors.items() if sizes and sizes[0] == -1)
