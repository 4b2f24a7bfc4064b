"""What the server serves: the configuration in force, its labels, and the thread that follows both.

Source: server_core.cc, and file_system_storage_path_source.cc for the polling.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import structlog

from inference.model_server.batching_config import BatchingParameters
from inference.model_server.config import ModelConfig, check_config
from inference.model_server.errors import (
    ServingError,
    failed_precondition,
    invalid_argument,
    not_found,
)
from inference.model_server.loading import load_version
from inference.model_server.manager import Lease, VersionManager
from inference.model_server.metrics import Metrics
from inference.model_server.states import State, VersionStatus
from inference.model_server.versions import aspired_versions, missing_versions, versions_on_disk

log = structlog.get_logger(__name__)

# How often a reload that waits for new models looks whether its caller is still there.
_LOOK_S: Final = 0.2


@dataclass(frozen=True)
class Reload:
    """A change of configuration: the models it added, and the last event before it."""

    new: frozenset[str]
    since: int


class ServerCore:
    """Models by configuration.

    Args:
        poll_s: seconds between two looks at the versions on disk.
        threads: TensorFlow threads that one operation may use.
        metrics: where loads are counted.
        batching: see `Servable`.
        on_settled: called once, when the models of the first configuration are loaded.
        allow_version_labels_for_unavailable_models: whether a new label may name a version that
            is not available yet. A label that exists moves only to an available one, either way.
    """

    def __init__(
        self,
        *,
        poll_s: float,
        threads: int,
        metrics: Metrics,
        batching: BatchingParameters | None = None,
        on_settled: Callable[[], None] = lambda: None,
        allow_version_labels_for_unavailable_models: bool = True,
    ) -> None:
        self._poll_s = poll_s
        self._on_settled, self._settled = on_settled, False
        self._early_labels = allow_version_labels_for_unavailable_models
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._configuring = threading.Lock()
        self._config: dict[str, ModelConfig] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._configured = False
        self._said: dict[str, str] = {}
        self._manager = VersionManager(
            lambda path: load_version(path, threads, metrics, batching), self._wake.set
        )
        self._thread = threading.Thread(target=self._follow, name="model-versions", daemon=True)

    def start(self) -> None:
        """Begin to follow the disk."""
        self._thread.start()

    def stop_following(self) -> None:
        """Load and unload nothing more, and end the waiting of reloads; what serves still does."""
        self._stopping.set()
        self._wake.set()

    def stop(self, grace_s: float) -> None:
        """Unload everything, waiting so long for requests in flight."""
        self.stop_following()
        if self._thread.ident is not None:
            self._thread.join()
        for model in self._manager.models():
            self._manager.aspire(model, {})
        self._manager.step()
        with self._manager.changed:
            self._manager.changed.wait_for(self._manager.all_idle, timeout=grace_s)
        self._manager.step()

    @property
    def configured(self) -> bool:
        """Whether any configuration has come into force."""
        return self._configured

    def lease(self, spec: Any) -> Lease:
        """Take the version that a `ModelSpec` means into use.

        Raises:
            ServingError: INVALID_ARGUMENT without a name or for an unknown label, UNAVAILABLE
                for any label before there is a configuration, NOT_FOUND without such a version.
        """
        if not spec.name:
            raise invalid_argument("ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        if choice == "version":
            return self._manager.lease(spec.name, spec.version.value)
        if choice == "version_label":
            return self._manager.lease(spec.name, self._labelled(spec.name, spec.version_label))
        return self._manager.lease(spec.name, None)

    def statuses(self, model: str, version: int | None) -> dict[int, VersionStatus]:
        """What is known of a model's versions, newest first, or of one version.

        Raises:
            ServingError: NOT_FOUND; no such version was ever seen.
        """
        with self._manager.changed:
            known = self._manager.states.of(model)
        if version is not None:
            if version not in known:
                raise not_found(f"Could not find version {version} of model {model}")
            return {version: known[version]}
        if not known:
            raise not_found(f"Could not find any versions of model {model}")
        return known

    def configure(self, models: Sequence[ModelConfig]) -> Reload:
        """Put a configuration in force. Models that it does not name are unloaded.

        Args:
            models: the whole new configuration.

        Returns:
            What to wait for with `wait_available`.

        Raises:
            ServingError: INVALID_ARGUMENT or FAILED_PRECONDITION; nothing has changed.
        """
        with self._configuring:
            check_config(models, self._config.values())
            self._check_labels(models)
            new = frozenset(model.name for model in models) - frozenset(self._config)
            with self._manager.changed:
                since = self._manager.states.last_event
                self._config = {model.name: model for model in models}
                self._labels = {model.name: dict(model.version_labels) for model in models}
                self._configured = True
        log.info("config_in_force", models=sorted(self._config), new=sorted(new))
        self._wake.set()
        return Reload(new, since)

    def wait_available(self, reload: Reload, give_up: Callable[[], bool]) -> None:
        """Wait until each new model of a reload has a version that serves.

        Args:
            reload: what `configure` returned.
            give_up: asked now and then; true ends the waiting.

        Raises:
            ServingError: UNKNOWN, a new model failed to load; DEADLINE_EXCEEDED, gave up;
                UNAVAILABLE, the server ends. The configuration stays in force.
        """
        changed, states = self._manager.changed, self._manager.states
        while True:
            with changed:
                reached = {m: states.reached_since(m, reload.since) for m in sorted(reload.new)}
                if None not in reached.values():
                    break
                changed.wait(_LOOK_S)
            if self._stopping.is_set():
                raise ServingError(grpc.StatusCode.UNAVAILABLE, "the server is ending")
            if give_up():
                waiting = ", ".join(model for model, state in reached.items() if state is None)
                raise ServingError(
                    grpc.StatusCode.DEADLINE_EXCEEDED, f"still waiting for models: {waiting}"
                )
        _raise_if_failed({m: state for m, state in reached.items() if state is not None})

    def _labelled(self, model: str, label: str) -> int:
        """The version that a label means (GetModelVersionForLabel)."""
        if not self._configured:
            raise ServingError(
                grpc.StatusCode.UNAVAILABLE, f"Model labels does not init yet.{label}"
            )
        version = self._labels.get(model, {}).get(label)
        if version is None:
            raise invalid_argument(f"Unrecognized servable version label: {label}")
        return version

    def _check_labels(self, models: Sequence[ModelConfig]) -> None:
        """A label names a version that is available (UpdateModelVersionLabelMap)."""
        for model in models:
            current = self._labels.get(model.name, {})
            for label, version in model.version_labels.items():
                moves = current.get(label, version) != version
                if self._early_labels and not moves:
                    continue
                with self._manager.changed:
                    available = self._manager.states.is_available(model.name, version)
                if not available:
                    raise failed_precondition(
                        f"Request to assign label to version {version} of model {model.name}, "
                        "which is not currently available for inference"
                    )

    def _follow(self) -> None:
        """The thread: what is on disk and in the configuration becomes what is in memory."""
        while not self._stopping.is_set():
            try:
                self._poll()
                self._manager.step()
                self._settle()
            except Exception:
                log.exception("following_models_failed")
            self._wake.wait(self._poll_s)
            self._wake.clear()

    def _settle(self) -> None:
        """Say once that each model, and each version with a label, is loaded or cannot be."""
        if self._settled or not self._configured:
            return
        states = self._manager.states
        with self._manager.changed:
            self._settled = all(
                states.reached_since(name, 0) is not None
                and all(states.is_over(name, v) for v in self._labels[name].values())
                for name in self._config
            )
        if self._settled:
            self._on_settled()

    def _poll(self) -> None:
        config = self._config
        for model in self._manager.models() - set(config):
            self._manager.aspire(model, {})
        for name, model in config.items():
            try:
                found = versions_on_disk(Path(model.base_path))
            except OSError as error:
                self._say(name, f"cannot read base path {model.base_path}: {error}")
                continue
            aspired = aspired_versions(model, found)
            missing = missing_versions(model, found)
            if missing:
                self._say(name, f"versions {missing} are configured but not in {model.base_path}")
            elif not aspired:
                self._say(name, f"no versions under base path {model.base_path}")
            else:
                self._said.pop(name, None)
            self._manager.aspire(name, aspired)

    def _say(self, model: str, problem: str) -> None:
        """Warn of a model's problem once, not at each poll."""
        if self._said.get(model) != problem:
            self._said[model] = problem
            log.warning("model_versions_missing", model=model, problem=problem)


def _raise_if_failed(reached: Mapping[str, tuple[int, VersionStatus]]) -> None:
    failed = [(m, v, s) for m, (v, s) in reached.items() if s.state is not State.AVAILABLE]
    if not failed:
        return
    message = f"{len(failed)} model(s) did not become available: {{"
    for model, version, status in failed:
        reason = f" due to error: {status.error}" if status.error else ""
        message += f"{{{{name: {model} version: {version}}}{reason}}}, "
    raise ServingError(grpc.StatusCode.UNKNOWN, message + "}")
