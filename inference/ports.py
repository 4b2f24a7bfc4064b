"""What the pipeline leans on, as it sees it: a test hands in others."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.model_client import Prediction
from online_features.context import ContextState
from online_features.place_values import PlaceValues
from online_features.reader import UserRead


class Store(Protocol):
    """Reads features; `online_features.reader.OnlineReader` is the real one."""

    async def user(self, user_id: str) -> UserRead: ...

    async def user_after(
        self, user_id: str, partitions: Sequence[int]
    ) -> tuple[UserRead, tuple[int, ...]]: ...

    async def places(
        self, place_ids: Sequence[str]
    ) -> tuple[NDArray[np.void], NDArray[np.bool_]]: ...

    async def scene(
        self,
        rows: NDArray[np.int64],
        place_ids: Callable[[NDArray[np.int64]], list[str]],
        region: str,
        now_s: float,
        since: int | None = None,
    ) -> tuple[PlaceValues, ContextState | None]: ...

    async def context(self, region: str) -> ContextState | None: ...


class Models(Protocol):
    """Asks a model; `inference.model_client.ModelClient` is the real one."""

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, tuple[int, ...]],
        timeout_s: float,
        signature: str = "",
    ) -> Prediction: ...
