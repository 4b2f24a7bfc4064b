"""Asks model servers to load and to relabel, over TF Serving's ModelService.

What the real server does, read from its source (`server_core.cc`), and what follows here:
- It assigns labels before it loads: a label for a version that is not AVAILABLE yet is refused
  with FAILED_PRECONDITION. So a version is loaded first, without a label.
- For a model that it already serves it answers before the new version is loaded. So
  GetModelStatus is asked until all is AVAILABLE.
- It looks at the disk once per `--file_system_poll_wait_seconds`, and keeps the error of an
  earlier load until then. So an error counts only when it stays.

- GetModelStatus passes over a label that it is asked by (`get_model_status_impl.cc`). Which version
  is behind one, GetModelMetadata tells: it names the version whose signatures it gives.

Several servers are told one after the other, and a version counts as available when all have it:
a label moves only then, so that a request finds its version whichever of them it meets.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
import stamina
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, ModelVersionStatus
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from retrain.model_config import MODELS

POLL_S = 0.2
#: Longer than the real server's look at the disk (1 s by default).
ERROR_STAYS_S = 3.0
CALL_S = 5.0
#: Whether a server is there; one that lives, and is busy for longer, is asked once more (`CALL_S`).
PRESENT_S = 2.0
_ABSENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
#: A label that is unknown, or names a version that is not loaded: nobody is answered under it.
_UNANSWERED = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


class ModelServerError(RuntimeError):
    """The model server refused, or did not get there in time."""


def _passing(error: Exception) -> bool:
    return isinstance(error, grpc.RpcError) and _code(error) is grpc.StatusCode.UNAVAILABLE


def _code(error: grpc.RpcError) -> grpc.StatusCode:
    code: grpc.StatusCode = error.code()
    return code


@dataclass(frozen=True)
class Seen:
    """What one server has.

    Attributes:
        labels: those under which both models answer, with the same version.
        states: of each version that it knows, by model ("AVAILABLE", ...).
    """

    labels: Mapping[str, int]
    states: Mapping[int, Mapping[str, str]]

    def in_state(self, *states: str) -> frozenset[int]:
        """Versions of which both models are in one of these states."""
        return frozenset(
            version
            for version, its in self.states.items()
            if all(its.get(name) in states for name in MODELS)
        )


def addresses_of(target: str) -> list[str]:
    """Each server of a gRPC target: `host:port`, or `ipv4:HOST:PORT,HOST:PORT` for several."""
    scheme, _, rest = target.partition(":")
    return rest.split(",") if scheme in ("ipv4", "ipv6") else [target]


class ModelAdmin:
    """A channel to each model server, for a rollout.

    Args:
        target: host:port, or several, see `addresses_of`.
        timeout_s: longest that one step may take, seconds.
        monotonic: seconds from any start.
        sleep: waits between two looks.
    """

    def __init__(
        self,
        target: str,
        timeout_s: float,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._sleep = sleep
        self._channels = {
            address: grpc.insecure_channel(address) for address in addresses_of(target)
        }
        self._stubs = {
            address: ModelServiceStub(channel) for address, channel in self._channels.items()
        }
        self._predictions = {
            address: PredictionServiceStub(channel) for address, channel in self._channels.items()
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for channel in self._channels.values():
            channel.close()

    def present(self, waits_s: Collection[float] = (PRESENT_S, CALL_S)) -> list[str]:
        """Addresses that answer, be it with "no such model".

        Args:
            waits_s: how long an answer is waited for, by attempt.
        """
        return [a for a in self._stubs if any(self._answers(a, wait_s) for wait_s in waits_s)]

    @property
    def addresses(self) -> list[str]:
        """All servers of the target."""
        return list(self._channels)

    @property
    def told(self) -> list[str]:
        """Those of them that are not left alone (`only`)."""
        return list(self._stubs)

    def only(self, addresses: Collection[str]) -> None:
        """Leave the others alone from now on."""
        self._stubs = {a: stub for a, stub in self._stubs.items() if a in addresses}

    def _answers(self, address: str, timeout_s: float) -> bool:
        try:
            self._status(address, MODELS[0], timeout_s)
        except grpc.RpcError as error:
            return _code(error) not in _ABSENT
        return True

    def seen(self, address: str, labels: Iterable[str], timeout_s: float = CALL_S) -> Seen:
        """What a server has, and which of these labels it answers by.

        Raises:
            ModelServerError: it does not answer.
        """
        states = self._states_at(address, timeout_s)
        # One that knows no version has no label, and the real one says UNAVAILABLE if asked by one.
        asked = sorted({*labels}) if states else []
        found: dict[str, int] = {}
        for label in asked:
            versions = {self._labelled(address, name, label, timeout_s) for name in MODELS}
            version = versions.pop()
            if version is not None and not versions:
                found[label] = version
        return Seen(found, states)

    def _labelled(self, address: str, name: str, label: str, timeout_s: float) -> int | None:
        request = GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name, request.model_spec.version_label = name, label
        try:
            answer = self._predictions[address].GetModelMetadata(request, timeout=timeout_s)
        except grpc.RpcError as error:
            if _code(error) in _UNANSWERED:
                return None
            cause = f"{_code(error).name}: {error.details()}"
            raise ModelServerError(f"{address}: {cause}") from error
        return int(answer.model_spec.version.value)

    def reload(self, address: str, config: Any) -> None:
        """Make a server follow a ModelServerConfig; it may go on loading after this returns.

        Raises:
            ModelServerError: it refused (the text says why) or is not to be reached.
        """
        call = self._stubs[address].HandleReloadConfigRequest
        request = ReloadConfigRequest(config=config)
        try:
            for attempt in stamina.retry_context(on=_passing, attempts=5, wait_initial=0.2):
                with attempt:
                    answer = call(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            # A load of a new model that outlasts the call goes on: `wait_available` decides.
            if _code(error) is grpc.StatusCode.DEADLINE_EXCEEDED:
                return
            raise ModelServerError(f"{address}: reload: {error.details()}") from error
        if answer.status.error_code:
            raise ModelServerError(f"{address}: reload: {answer.status.error_message}")

    def wait_available(
        self, version: int, alive: Callable[[], None], timeout_s: float | None = None
    ) -> None:
        """Return once both models serve `version`, on all servers.

        Args:
            version: of the pair.
            alive: called at each look; what it raises ends the wait.
            timeout_s: longest wait, if not that of this client.

        Raises:
            ModelServerError: one could not be loaded (with the server's reason), or time is up.
        """
        start = self._monotonic()
        deadline = start + (self._timeout_s if timeout_s is None else timeout_s)
        while True:
            alive()
            states = {
                f"{name} at {address}": self._state(address, name, version)
                for address in self._stubs
                for name in MODELS
            }
            if all(state == "AVAILABLE" for state, _ in states.values()):
                return
            now = self._monotonic()
            for name, (_, failed) in states.items():
                if failed and now - start > ERROR_STAYS_S:
                    raise ModelServerError(f"version {version} of {name} does not load: {failed}")
            if now > deadline:
                seen = ", ".join(f"{name} is {state}" for name, (state, _) in states.items())
                raise ModelServerError(f"version {version} is not available in time: {seen}")
            self._sleep(POLL_S)

    def states(self, timeout_s: float) -> dict[int, dict[str, str]]:
        """The state of each version that any server knows, by model ("AVAILABLE", ...).

        Where servers differ, the state that is not "AVAILABLE" is told; a version that one does
        not know is "unknown to a server".

        Raises:
            ModelServerError: one does not answer.
        """
        told = [self._states_at(address, timeout_s) for address in self._stubs]
        pairs = {(version, name) for its in told for version in its for name in its[version]}
        found: dict[int, dict[str, str]] = {}
        for version, name in sorted(pairs):
            states = {its.get(version, {}).get(name, "unknown to a server") for its in told}
            found.setdefault(version, {})[name] = min(states, key=lambda s: (s == "AVAILABLE", s))
        return found

    def _states_at(self, address: str, timeout_s: float) -> dict[int, dict[str, str]]:
        found: dict[int, dict[str, str]] = {}
        for name in MODELS:
            try:
                statuses = self._status(address, name, timeout_s)
            except grpc.RpcError as error:
                if _code(error) is grpc.StatusCode.NOT_FOUND:
                    continue
                cause = f"{_code(error).name}: {error.details()}"
                raise ModelServerError(f"{address}: {cause}") from error
            for status in statuses:
                state = ModelVersionStatus.State.Name(status.state)
                found.setdefault(status.version, {})[name] = state
        return found

    def _state(self, address: str, name: str, version: int) -> tuple[str, str]:
        """State of a version by its name, and the error it ended with, if any."""
        try:
            statuses = self._status(address, name, CALL_S)
        except grpc.RpcError as error:
            return _code(error).name, ""
        for status in statuses:
            if status.version == version:
                failed = status.status.error_message if status.status.error_code else ""
                return ModelVersionStatus.State.Name(status.state), failed
        return "unknown to the server", ""

    def _status(self, address: str, name: str, timeout_s: float) -> Any:
        request = GetModelStatusRequest()
        request.model_spec.name = name
        return self._stubs[address].GetModelStatus(request, timeout=timeout_s).model_version_status
