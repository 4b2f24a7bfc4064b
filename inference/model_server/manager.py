"""The versions in memory: loads what is aspired, unloads what is not, hands them out.

Availability comes first: as long as a model has no aspired version that serves, the last one that
does stays, whatever the configuration says. Source: availability_preserving_policy.cc,
aspired_versions_manager.cc, basic_manager.cc.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import structlog

from inference.model_server.errors import ServingError, from_exception, not_found
from inference.model_server.servable import Servable
from inference.model_server.states import State, StateLog

log = structlog.get_logger(__name__)


@dataclass
class _Version:
    """A version under management; changes under the manager's lock."""

    model: str
    number: int
    path: Path
    aspired: bool = True
    state: State = State.START
    servable: Servable | None = None
    in_flight: int = 0


class Lease:
    """A version in use by one request; while a lease is held the version stays in memory."""

    __slots__ = ("_manager", "_version", "servable", "version")

    def __init__(self, manager: "VersionManager", version: _Version, servable: Servable) -> None:
        self._manager = manager
        self._version = version
        self.servable = servable
        self.version = version.number

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._manager.release(self._version)


class VersionManager:
    """Keeps the versions of all models.

    One thread (the core's) calls `aspire` and `step`; any thread may lease, release and ask.

    Args:
        load: loads and warms a version; whatever it raises ends the version, with that error.
        wake: called when the last request of a version being unloaded has left.
    """

    def __init__(self, load: Callable[[Path], Servable], wake: Callable[[], None]) -> None:
        self._load_servable = load
        self._wake = wake
        self._managed: dict[str, dict[int, _Version]] = {}
        self.states = StateLog()
        self.changed = threading.Condition()
        """Guards everything here; notified whenever a version changes its state."""

    def models(self) -> set[str]:
        """Models with a version under management."""
        with self.changed:
            return {model for model, versions in self._managed.items() if versions}

    def lease(self, model: str, number: int | None) -> Lease:
        """Take a version into use: this one, or the newest that is available.

        Raises:
            ServingError: NOT_FOUND, in the real server's words.
        """
        with self.changed:
            versions = self._managed.get(model, {})
            if number is None:
                ready = [n for n, v in versions.items() if v.state is State.AVAILABLE]
                version = versions[max(ready)] if ready else None
            else:
                version = versions.get(number)
            if version is not None and version.state is State.AVAILABLE and version.servable:
                version.in_flight += 1
                return Lease(self, version, version.servable)
        asked = f"Latest({model})" if number is None else f"Specific({model}, {number})"
        raise not_found(f"Servable not found for request: {asked}")

    def release(self, version: _Version) -> None:
        """Give a leased version back."""
        with self.changed:
            version.in_flight -= 1
            waited_for = version.in_flight == 0 and version.state is State.UNLOADING
            if waited_for:
                self.changed.notify_all()
        if waited_for:
            self._wake()

    def all_idle(self) -> bool:
        """Whether no request is in flight."""
        with self.changed:
            return not any(
                version.in_flight
                for versions in self._managed.values()
                for version in versions.values()
            )

    def aspire(self, model: str, versions: Mapping[int, Path]) -> None:
        """Set which versions of a model are to be served; all others are to go.

        A version that failed is not tried again as long as it stays aspired. One that is wanted
        again while it is being unloaded comes back with a later call.
        """
        with self.changed:
            managed = self._managed.setdefault(model, {})
            for version in list(managed.values()):
                if version.number in versions:
                    version.aspired = version.aspired or version.state is State.AVAILABLE
                    continue
                version.aspired = False
                if version.state in (State.START, State.END):
                    self._forget(version)
            for number, path in versions.items():
                if number not in managed:
                    managed[number] = _Version(model, number, path)
                    self._set_state(managed[number], State.START)

    def step(self) -> None:
        """Load and unload until nothing is left to do, or only requests are waited for."""
        self._close_idle()
        for model in sorted(self.models()):
            while self._act(model):
                pass

    def _act(self, model: str) -> bool:
        """Take the next action for a model, if there is one."""
        with self.changed:
            versions = list(self._managed.get(model, {}).values())
            leaving = [v for v in versions if not v.aspired and v.state is State.AVAILABLE]
            aspired = [v for v in versions if v.aspired]
            safe = not aspired or any(v.state is State.AVAILABLE for v in aspired)
            fresh = [v for v in aspired if v.state is State.START]
        if leaving and (safe or len(leaving) > 1):
            self._unload(min(leaving, key=lambda version: version.number))
            return True
        if fresh:
            self._load(max(fresh, key=lambda version: version.number))
            return True
        return False

    def _load(self, version: _Version) -> None:
        with self.changed:
            self._set_state(version, State.LOADING)
        log.info("model_loading", model=version.model, version=version.number)
        try:
            servable = self._load_servable(version.path)
        except Exception as error:
            self._load_failed(version, error)
            return
        with self.changed:
            version.servable = servable
            self._set_state(version, State.AVAILABLE)
        log.info("model_available", model=version.model, version=version.number)

    def _load_failed(self, version: _Version, error: Exception) -> None:
        failure = from_exception(error)
        with self.changed:
            self._set_state(version, State.END, failure)
        log.error(
            "model_load_failed",
            model=version.model,
            version=version.number,
            path=str(version.path),
            error=str(failure),
            # An error that the loader did not foresee has to be seen where it arose.
            exc_info=not isinstance(error, ServingError),
        )

    def _unload(self, version: _Version) -> None:
        with self.changed:
            self._set_state(version, State.UNLOADING)
        log.info("model_unloading", model=version.model, version=version.number)
        self._close_idle()

    def _close_idle(self) -> None:
        """Close the versions that are being unloaded and that no request uses any more."""
        with self.changed:
            idle = [
                version
                for versions in self._managed.values()
                for version in versions.values()
                if version.state is State.UNLOADING and version.in_flight == 0
            ]
        for version in idle:
            if version.servable is not None:
                version.servable.close()
            with self.changed:
                version.servable = None
                self._set_state(version, State.END)
                self._forget(version)
            log.info("model_unloaded", model=version.model, version=version.number)

    def _set_state(
        self, version: _Version, state: State, error: ServingError | None = None
    ) -> None:
        version.state = state
        self.states.record(version.model, version.number, state, error)
        self.changed.notify_all()

    def _forget(self, version: _Version) -> None:
        """Manage a version no longer; its last state stays known."""
        del self._managed[version.model][version.number]
