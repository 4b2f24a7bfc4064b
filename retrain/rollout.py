"""Brings a version into service, and says which one is.

Order of `activate`, in which no request ever meets a version that is not loaded:
1. N+1 is loaded beside N; label on N.
2. Once both models of N+1 are AVAILABLE, the label moves, for both in one request.
3. After a moment for requests under way, N is unloaded. It stays on disk: a way back is one
   `activate` of N, a load of seconds, and memory holds one pair and not two.

Each step writes the configuration file before it tells the server, so that a model server that
restarts in between comes up with a state it would have passed through anyway.

A server's labels are asked of itself: one that missed a rollout has others than the file says, and
would refuse a configuration that keeps a label on what it no longer holds. One that is passed over
now is told as soon as it answers (`retrain.following`).

For the real `tensorflow_model_server`: labels in the file at start name versions that are not
loaded yet, which it refuses unless started with `--allow_version_labels_for_unavailable_models`.
It also exits if the file is missing; `ensure_config` writes one that serves nothing. Pass
`--max_num_load_retries=0`, else a broken model is retried for minutes. Leave
`--model_config_file_poll_wait_seconds` at 0: the rollout tells the server itself.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from contracts.experiment import CANARY
from contracts.settings import Settings
from retrain.model_admin import ModelAdmin, ModelServerError, Seen
from retrain.model_config import MODELS, DamagedConfig, Serving, read, write
from retrain.retention import DELETED, labels_moved, models_deleted, needed

_log = structlog.get_logger(__name__)

TIMEOUT_S = 120.0
#: A server that waits for its first configuration looks for it every second or so.
START_S = 15.0
#: Longer than a request may take from resolving the label to using the version.
DRAIN_S = 1.0
#: Exported pairs that stay on disk, besides those in service.
KEEP = 3


PASSED_OVER = "the others do not answer; the controller tells them when they do"


class RolloutFailed(RuntimeError):
    """The version is not in service, and what was before still is."""


def _no_guard() -> None:
    pass


def current(settings: Settings, label: str | None = None) -> int | None:
    """The version in service under a label (by default `settings.model_label`), if there is one.

    Raises:
        DamagedConfig: the configuration file is damaged.
    """
    return read(settings).labels.get(label or settings.model_label)


def ensure_config(settings: Settings) -> None:
    """Write a configuration that serves nothing, if there is none: TF Serving needs a file."""
    if not settings.model_config_file.exists():
        write(settings, Serving())


def activate(
    settings: Settings,
    version: int,
    *,
    guard: Callable[[], None] = _no_guard,
    timeout_s: float = TIMEOUT_S,
    start_s: float = START_S,
    drain_s: float = DRAIN_S,
) -> bool:
    """Point `settings.model_label` to `version`, for both models.

    Args:
        settings: where models, configuration and model server are.
        version: an exported pair.
        guard: asked before each step; what it raises stops the rollout there.
        timeout_s: longest that loading may take.
        start_s: longest wait for a model server that did not answer before.
        drain_s: how long the old version outlives the move of the label.

    Returns:
        Whether all model servers confirmed it; see `relabel`.

    Raises:
        RolloutFailed: the pair is not on disk, the server could not load it, or the
            configuration file is damaged.
    """
    return relabel(
        settings,
        {settings.model_label: version},
        guard=guard,
        timeout_s=timeout_s,
        start_s=start_s,
        drain_s=drain_s,
    )


def relabel(
    settings: Settings,
    changes: Mapping[str, int | None],
    *,
    guard: Callable[[], None] = _no_guard,
    timeout_s: float = TIMEOUT_S,
    start_s: float = START_S,
    drain_s: float = DRAIN_S,
    kept: Iterable[int] = (),
) -> bool:
    """Point labels to versions, for both models at once; `None` takes a label away.

    A label that is taken away must no longer be asked for.

    Args:
        settings: where models, configuration and model server are.
        changes: label to the version that it is to point to; all other labels stay.
        guard, timeout_s, start_s, drain_s: as `activate`.
        kept: versions that stay on disk, however old: the way back.

    Returns:
        Whether all model servers confirmed it. One that does not answer is passed over: it reads
        the file when it starts, and is told by the controller if it lives (`retrain.following`).

    Raises:
        RolloutFailed: nothing has changed; says why.
    """
    wanted = sorted({version for version in changes.values() if version is not None})
    for version in wanted:
        _check_exported(settings, version)
    try:
        before = read(settings)
    except DamagedConfig as error:
        # Whoever edited it knows what was meant; to write over it would lose that.
        raise RolloutFailed(str(error)) from error
    labels = {**before.labels, **changes}
    after = Serving({label: version for label, version in labels.items() if version is not None})
    with ModelAdmin(settings.model_server, timeout_s) as server:
        if answering := _answering(server, labels_asked(settings, before, after)):
            live = len(answering) == len(server.addresses)
            if not live:
                _log.warning("servers_passed_over", note=PASSED_OVER, told=[*answering])
            server.only(answering)
            try:
                _switch(settings, server, answering, before, after, wanted, guard)
            except RolloutFailed:
                # Each new pair may fail like this: they must not pile up until one does not.
                models_deleted(settings, prune(settings, kept=kept))
                raise
            _unload(settings, server, after, guard, drain_s)
        else:
            write(settings, after, guard)
            started = [_started(server, version, guard, start_s) for version in wanted]
            live = bool(started) and all(started)
    _log.info("labels_moved", **changes, live=live)
    labels_moved(settings, before.labels, after.labels)
    models_deleted(settings, prune(settings, kept=kept))
    return live


def labels_asked(settings: Settings, *known: Serving) -> set[str]:
    """The labels that a server may answer by: those that are used, and those of configurations."""
    return {settings.model_label, CANARY}.union(*(one.labels for one in known))


def _answering(server: ModelAdmin, asked: Iterable[str]) -> dict[str, Seen]:
    """What each server has that answers; the others are passed over."""
    found: dict[str, Seen] = {}
    for address in server.present():
        with suppress(ModelServerError):
            found[address] = server.seen(address, asked)
    return found


def _switch(
    settings: Settings,
    server: ModelAdmin,
    seen: Mapping[str, Seen],
    before: Serving,
    after: Serving,
    versions: Sequence[int],
    guard: Callable[[], None],
) -> None:
    # A label that is to move anyway, away from what is gone: the server, which has unloaded that,
    # would refuse any configuration in which the label stays there until the new version is loaded.
    held = {
        label: version
        for label, version in before.labels.items()
        if after.labels.get(label) in (None, version) or is_exported(settings, version)
    }
    both = Serving(held, before.beside | {*versions, *held.values()})
    beside = {address: both.beside | {*its.labels.values()} for address, its in seen.items()}
    try:
        own = {address: Serving(its.labels, beside[address]) for address, its in seen.items()}
        _apply(settings, server, both, own, guard)
        _wait(settings, server, after, versions, guard)
        own = {address: Serving(after.labels, beside[address]) for address in seen}
        _apply(settings, server, replace(both, labels=after.labels), own, guard)
    except ModelServerError as error:
        _restore(settings, server, before, seen, guard)
        raise RolloutFailed(str(error)) from error


def _wait(
    settings: Settings,
    server: ModelAdmin,
    after: Serving,
    versions: Sequence[int],
    guard: Callable[[], None],
) -> None:
    """Until all that a label will name is loaded; what no label moves to may fail to be."""
    for version in versions:
        server.wait_available(version, guard)
    for version in sorted({*after.labels.values()} - {*versions}):
        if is_exported(settings, version):
            with suppress(ModelServerError):
                server.wait_available(version, guard)


def _unload(
    settings: Settings,
    server: ModelAdmin,
    after: Serving,
    guard: Callable[[], None],
    drain_s: float,
) -> None:
    time.sleep(drain_s)
    try:
        _apply(settings, server, after, dict.fromkeys(server.told, after), guard)
    except ModelServerError as error:
        # The new version serves; the old one merely takes memory until the controller's next look.
        _log.warning("old_version_not_unloaded", labels=dict(after.labels), error=str(error))


def _apply(
    settings: Settings,
    server: ModelAdmin,
    serving: Serving,
    own: Mapping[str, Serving],
    guard: Callable[[], None],
) -> None:
    """Write the file, and tell each server its own."""
    write(settings, serving, guard)
    for address, its in own.items():
        guard()
        server.reload(address, its.message(settings))


def _restore(
    settings: Settings,
    server: ModelAdmin,
    before: Serving,
    seen: Mapping[str, Seen],
    guard: Callable[[], None],
) -> None:
    own = {a: Serving(its.labels, frozenset(before.versions)) for a, its in seen.items()}
    try:
        _apply(settings, server, before, own, guard)
    except ModelServerError as error:
        _log.warning("configuration_restored_in_file_only", error=str(error))


def _started(server: ModelAdmin, version: int, guard: Callable[[], None], start_s: float) -> bool:
    _log.info("model_server_absent", note="the configuration file is written; waiting for it")
    try:
        server.wait_available(version, guard, start_s)
    except ModelServerError as error:
        _log.warning("only_the_configuration_file_is_written", version=version, cause=str(error))
        return False
    return True


def is_exported(settings: Settings, version: int) -> bool:
    """Whether both models of a version are on disk, as far as can be told without loading them."""
    return not any(_missing(settings, version))


def _missing(settings: Settings, version: int) -> Iterator[str]:
    for name in MODELS:
        if not (settings.models_dir / name / str(version) / "saved_model.pb").is_file():
            yield name


def _check_exported(settings: Settings, version: int) -> None:
    for name in _missing(settings, version):
        raise RolloutFailed(f"{name} {version} is not exported under {settings.models_dir}")


def exported(settings: Settings) -> list[int]:
    """Versions on disk, ascending; a version counts if any of its pair is there."""
    found = {
        int(path.name)
        for name in MODELS
        for path in (settings.models_dir / name).glob("*")
        if path.name.isdecimal()
    }
    return sorted(found)


def prune(settings: Settings, keep: int = KEEP, kept: Iterable[int] = ()) -> list[int]:
    """Delete all but the newest `keep` versions; never one that is needed (`retrain.retention`),
    or `kept`.

    A version is renamed before it is deleted: nobody ever sees half of one.

    Returns:
        The versions that were deleted.
    """
    for name in MODELS:
        for left in (settings.models_dir / name).glob(f"{DELETED}*"):
            shutil.rmtree(left)
    held = {*needed(settings), *kept}
    versions = exported(settings)
    old = [v for v in versions[: max(0, len(versions) - keep)] if v not in held]
    for version in old:
        for name in MODELS:
            path = settings.models_dir / name / str(version)
            if path.exists():
                shutil.rmtree(path.rename(path.with_name(f"{DELETED}{version}")))
    return old
